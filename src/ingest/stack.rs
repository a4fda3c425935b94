//! Sources of several dates become one raster with a band for each. Pure.
//!
//! The files' own times count; where they cannot be told apart by them, the dates of their names do. All sources
//! lie on one grid as tiles do, and a date that lacks a tile has nodata there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use jiff::Timestamp;

use super::dated::label;
use super::error::IngestError;
use super::mosaic::{self, Mosaic, TileBands};
use super::source::{SourceBand, SourceFacts};

/// The sources of one date.
#[derive(Debug, Clone)]
pub(super) struct Dated {
    /// The date that the names tell.
    pub(super) date: Option<Timestamp>,
    /// Path on disk and facts of each, in the order of their names.
    pub(super) sources: Vec<(PathBuf, SourceFacts)>,
}

/// Lays the sources of all dates on one grid.
///
/// # Errors
/// [`IngestError::Mosaic`] naming the file that does not fit, or whose time nothing tells.
pub(super) fn assemble(mut steps: Vec<Dated>) -> Result<Mosaic, IngestError> {
    let has_times = |step: &Dated| step.sources.iter().all(|(_, facts)| !facts.times.is_empty());
    if steps.len() == 1 && !steps.iter().all(has_times) {
        return mosaic::assemble(steps.remove(0).sources);
    }
    let is_one_file = steps.iter().map(|step| step.sources.len()).sum::<usize>() == 1;
    if let Err(clash) = own_times(&steps, is_one_file) {
        use_dates_of_names(&mut steps).map_err(|_| clash)?;
    }
    let sources: Vec<(PathBuf, SourceFacts)> = steps.into_iter().flat_map(|step| step.sources).collect();
    let mut times: Vec<Timestamp> =
        sources.iter().flat_map(|(_, facts)| facts.times.iter().copied()).collect();
    times.sort_unstable();
    if !is_one_file {
        times.dedup();
    }
    let place = |time: &Timestamp| times.partition_point(|other| other < time) as u32;
    let bands: Vec<TileBands> = sources
        .iter()
        .map(|(_, facts)| {
            let mut bands: Vec<(u32, u32)> =
                facts.times.iter().zip(0..).map(|(time, number)| (place(time), number)).collect();
            bands.sort_unstable();
            // Steps of the same time keep their order, one behind the other.
            for next in 1..bands.len() {
                bands[next].0 = bands[next].0.max(bands[next - 1].0 + 1);
            }
            TileBands::Some(bands)
        })
        .collect();
    // All bands of a source by date are alike: one stands for them while the grid is laid out.
    let mut sources = sources;
    sources.iter_mut().for_each(|(_, facts)| facts.bands.truncate(1));
    let mut mosaic = mosaic::assemble(sources)?;
    if times.len() > 1 {
        let like = mosaic.facts.bands.first().cloned().unwrap_or_default();
        let band = |&time: &Timestamp| SourceBand { description: label(time), ..like.clone() };
        mosaic.facts.bands = times.iter().map(band).collect();
        mosaic.tiles.iter_mut().zip(bands).for_each(|(tile, bands)| tile.bands = bands);
    }
    mosaic.times = times;
    mosaic.fits()?;
    Ok(mosaic)
}

/// Whether the files' own times tell them apart. A single file may have two steps of one time: as it is, so it is served.
fn own_times(steps: &[Dated], is_one_file: bool) -> Result<(), IngestError> {
    let refuse =
        |facts: &SourceFacts, reason: String| Err(IngestError::Mosaic { name: facts.name.clone(), reason });
    let mut step_of: BTreeMap<Timestamp, (usize, &str)> = BTreeMap::new();
    for (number, step) in steps.iter().enumerate() {
        for (_, facts) in &step.sources {
            let distinct: BTreeSet<&Timestamp> = facts.times.iter().collect();
            if facts.times.is_empty() || facts.times.len() != facts.bands.len() {
                return refuse(facts, "nothing tells of which date it is".to_owned());
            }
            if distinct.len() != facts.times.len() && !is_one_file {
                return refuse(facts, "two of its steps have the same time".to_owned());
            }
            for &time in &facts.times {
                let (other, name) = *step_of.entry(time).or_insert((number, &facts.name));
                if other != number {
                    return refuse(facts, format!("it has a step of {}, as '{name}' has", label(time)));
                }
            }
        }
    }
    Ok(())
}

/// Takes the dates of the names for sources of one band each.
fn use_dates_of_names(steps: &mut [Dated]) -> Result<(), ()> {
    let dates: BTreeSet<Option<Timestamp>> = steps.iter().map(|step| step.date).collect();
    let is_flat = |step: &Dated| step.sources.iter().all(|(_, facts)| facts.bands.len() == 1);
    if dates.len() != steps.len() || dates.contains(&None) || !steps.iter().all(is_flat) {
        return Err(());
    }
    for step in steps {
        let times: Vec<Timestamp> = step.date.into_iter().collect();
        step.sources.iter_mut().for_each(|(_, facts)| facts.times.clone_from(&times));
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::mosaic::tests::tile;
    use super::*;

    fn day(day: i64) -> Timestamp {
        Timestamp::from_second(day * 86_400).unwrap()
    }

    /// A step with one source of these times at a place.
    fn step(name: &str, x: f64, date: Option<i64>, times: &[i64]) -> Dated {
        let (path, mut facts) = tile(name, x, 3000.0);
        facts.times = times.iter().copied().map(day).collect();
        facts.bands = vec![facts.bands[0].clone(); times.len().max(1)];
        Dated { date: date.map(day), sources: vec![(path, facts)] }
    }

    fn labels(mosaic: &Mosaic) -> Vec<&str> {
        mosaic.facts.bands.iter().map(|band| band.description.as_str()).collect()
    }

    #[test]
    fn files_of_several_dates_become_bands_in_order() {
        let mosaic = assemble(vec![
            step("b", 4000.0, None, &[11, 10]),
            step("a", 4000.0, None, &[9]),
            step("c", 5000.0, None, &[12]),
        ])
        .unwrap();
        assert_eq!(labels(&mosaic), ["1970-01-10", "1970-01-11", "1970-01-12", "1970-01-13"]);
        assert_eq!(mosaic.times, [day(9), day(10), day(11), day(12)]);
        assert_eq!((mosaic.width, mosaic.tiles[2].x), (200, 100));
        // Steps that descend in the file are turned round.
        assert_eq!(mosaic.tiles[0].bands, TileBands::Some(vec![(1, 1), (2, 0)]));
        assert_eq!((mosaic.tiles[0].bands.source(2), mosaic.tiles[0].bands.source(0)), (Some(0), None));
        assert_eq!(mosaic.tiles[1].bands, TileBands::Some(vec![(0, 0)]));
    }

    #[test]
    fn tiles_of_one_date_share_its_band() {
        let mut one = step("a", 4000.0, None, &[9]);
        one.sources.extend(step("b", 5000.0, None, &[9]).sources);
        let mosaic = assemble(vec![one, step("c", 4000.0, None, &[10])]).unwrap();
        assert_eq!((mosaic.times.len(), mosaic.tiles.len(), mosaic.width), (2, 3, 200));
    }

    #[test]
    fn names_tell_dates_where_the_files_do_not() {
        let mosaic = assemble(vec![step("a", 0.0, Some(3), &[]), step("b", 0.0, Some(4), &[])]).unwrap();
        assert_eq!(mosaic.times, [day(3), day(4)]);
        // A producer who wrote the same time into every file.
        let mosaic = assemble(vec![step("a", 0.0, Some(3), &[0]), step("b", 0.0, Some(4), &[0])]).unwrap();
        assert_eq!(mosaic.times, [day(3), day(4)]);
    }

    #[test]
    fn a_file_may_have_a_time_twice() {
        let mosaic = assemble(vec![step("a", 0.0, None, &[8, 7, 8, 9])]).unwrap();
        assert_eq!(mosaic.times, [day(7), day(8), day(8), day(9)]);
        assert_eq!(mosaic.tiles[0].bands, TileBands::Some(vec![(0, 1), (1, 0), (2, 2), (3, 3)]));
    }

    #[test]
    fn one_date_is_a_plain_raster_that_knows_when() {
        let mosaic = assemble(vec![step("a", 0.0, None, &[7])]).unwrap();
        assert_eq!((mosaic.times.as_slice(), labels(&mosaic)), ([day(7)].as_slice(), vec![""]));
        assert_eq!(mosaic.tiles[0].bands, TileBands::All);
        assert!(assemble(vec![step("a", 0.0, Some(3), &[])]).unwrap().times.is_empty());
    }

    #[test]
    fn what_cannot_be_ordered_is_named() {
        let refused = |steps: Vec<Dated>| match assemble(steps) {
            Err(IngestError::Mosaic { name, reason }) => (name, reason),
            other => panic!("expected a refusal, got {other:?}"),
        };
        let (name, reason) = refused(vec![step("a", 0.0, None, &[7]), step("b", 0.0, None, &[7])]);
        assert_eq!(name, "b");
        assert!(reason.contains("1970-01-08") && reason.contains("'a'"), "{reason}");
        let (name, reason) = refused(vec![step("a", 0.0, None, &[7, 7]), step("b", 0.0, None, &[8])]);
        assert!(name == "a" && reason.contains("same time"), "{reason}");
        let (name, _) = refused(vec![step("a", 0.0, Some(1), &[7]), step("b", 0.0, None, &[])]);
        assert_eq!(name, "b");
    }
}
