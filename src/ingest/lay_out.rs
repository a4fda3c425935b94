//! From the files of a package to the rasters of an entry: which files (and variables) make which raster.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::dated::{self, Series, Step, label};
use super::discover::{self, Layer};
use super::error::{DiskContext, IngestError};
use super::mosaic::Mosaic;
use super::netcdf::{self, VariableFacts};
use super::source::{self, SourceFacts};
use super::stack::{self, Dated};

/// Longest part of a raster's name that comes from a variable, in bytes.
const LONGEST_VARIABLE: usize = 120;

/// Lays out all rasters of a package, the product's main one first. NetCDF files are moved into `scratch`.
///
/// # Errors
/// The first file that cannot be read or does not fit. A netCDF without rasters stays a side file where the
/// package has other rasters (or vector data, `has_vectors`), and is an error where it has not.
pub(super) fn rasters(
    files: &[String],
    unpacked: &Path,
    scratch: &Path,
    has_vectors: bool,
) -> Result<Vec<(Layer, Mosaic)>, IngestError> {
    let mut rasters = Vec::new();
    for series in dated::series(discover::layers(files)) {
        let steps = inspect(series.steps, unpacked)?;
        for (stem, steps) in by_place(&series.stem, steps) {
            rasters.extend(together_or_apart(&stem, steps)?);
        }
    }
    let series = dated::series(discover::netcdf_layers(files));
    let is_alone = series.len() == 1;
    let mut desk = Desk { unpacked, scratch, taken: BTreeMap::new() };
    let mut refused = Vec::new();
    for series in series {
        match desk.variables(&series, is_alone) {
            Ok(variables) => rasters.extend(variables),
            Err(error @ IngestError::Unsupported { .. }) => refused.push((series, error)),
            Err(error) => return Err(error),
        }
    }
    for (series, error) in refused {
        if !has_vectors && rasters.is_empty() {
            return Err(error);
        }
        desk.give_back(&series)?;
    }
    // Stable: variables of one file keep its order where nothing else tells.
    rasters.sort_by_cached_key(|(layer, mosaic)| layer.rank(mosaic.source_pixels()));
    Ok(rasters)
}

/// Reads the facts of all files of a series.
fn inspect(steps: Vec<Step>, unpacked: &Path) -> Result<Vec<Named>, IngestError> {
    let facts = |name: &String| {
        super::child::say_what_is_read(name);
        let path = unpacked.join(name);
        source::inspect(&path, name).map(|facts| (path, facts))
    };
    let named = |step: Step| {
        let sources = step.layer.files.iter().map(facts).collect::<Result<Vec<_>, _>>()?;
        Ok(Named { stem: step.layer.stem, dated: Dated { date: step.date, sources } })
    };
    steps.into_iter().map(named).collect()
}

/// Tiles of one name whose folders have a CRS each (`French_DOMs/` beside the main land) are a raster for each CRS. Where
/// the CRSs are mixed within a folder they stay together, and are refused by name.
fn by_place(stem: &str, steps: Vec<Named>) -> Vec<(String, Vec<Named>)> {
    let crs_of = |facts: &SourceFacts| facts.crs.as_ref().map(|crs| (crs.epsg, crs.wkt2.clone()));
    let folder_of = |facts: &SourceFacts| facts.name.rsplit_once('/').map(|(folder, _)| folder.to_owned());
    let mut by_folder = BTreeMap::new();
    let all = || steps.iter().flat_map(|step| &step.dated.sources).map(|(_, facts)| facts);
    let is_clear = all().all(|facts| {
        let crs = crs_of(facts);
        *by_folder.entry(folder_of(facts)).or_insert_with(|| crs.clone()) == crs
    });
    let kinds: BTreeSet<_> = all().map(crs_of).collect();
    let is_mixed_step = steps.iter().any(|step| {
        let first = step.dated.sources.first().map(|(_, facts)| crs_of(facts));
        step.dated.sources.iter().any(|(_, facts)| Some(crs_of(facts)) != first)
    });
    if !is_clear || kinds.len() < 2 || !is_mixed_step {
        return vec![(stem.to_owned(), steps)];
    }
    let of_kind = |kind: &_| {
        let part = |step: &Named| {
            let mut step = step.clone();
            step.dated.sources.retain(|(_, facts)| crs_of(facts) == *kind);
            (!step.dated.sources.is_empty()).then_some(step)
        };
        (stem.to_owned(), steps.iter().filter_map(part).collect())
    };
    kinds.iter().map(of_kind).collect()
}

/// The sources of one date with the name they have when they stay alone.
#[derive(Clone)]
struct Named {
    stem: String,
    dated: Dated,
}

/// One raster with a band by date; where dates do not fit together, a raster for each.
fn together_or_apart(stem: &str, steps: Vec<Named>) -> Result<Vec<(Layer, Mosaic)>, IngestError> {
    let raster = |stem: &str, steps: Vec<Dated>| {
        let files =
            steps.iter().flat_map(|step| &step.sources).map(|(_, facts)| facts.name.clone()).collect();
        stack::assemble(steps).map(|mosaic| (Layer { stem: stem.to_owned(), files }, mosaic))
    };
    let apart =
        |steps: Vec<Named>| steps.into_iter().map(|step| raster(&step.stem, vec![step.dated])).collect();
    if steps.len() == 1 {
        return apart(steps);
    }
    match raster(stem, steps.iter().map(|step| step.dated.clone()).collect()) {
        Err(IngestError::Mosaic { .. }) => apart(steps),
        result => result.map(|raster| vec![raster]),
    }
}

/// Where netCDF files are looked at: under names of our own, because GDAL and the netCDF library take some
/// characters of a path for more than a name.
struct Desk<'a> {
    unpacked: &'a Path,
    scratch: &'a Path,
    /// Where the files of the package are by now.
    taken: BTreeMap<String, PathBuf>,
}

/// The sources of a variable by the number of their date.
type ByStep = BTreeMap<usize, Vec<(PathBuf, SourceFacts)>>;

impl Desk<'_> {
    /// One raster for each variable of a series of files.
    fn variables(&mut self, series: &Series, is_alone: bool) -> Result<Vec<(Layer, Mosaic)>, IngestError> {
        // Variables in the order of their first appearance.
        let mut variables: Vec<(String, ByStep)> = Vec::new();
        for (number, step) in series.steps.iter().enumerate() {
            for name in &step.layer.files {
                let path = self.take(name)?;
                super::child::say_what_is_read(name);
                for VariableFacts { variable, mut facts } in netcdf::inspect(&path, name)? {
                    if facts.times.is_empty() && facts.bands.len() == 1 {
                        facts.times = step.date.into_iter().collect();
                    }
                    if !variables.iter().any(|(known, _)| *known == variable) {
                        variables.push((variable.clone(), ByStep::new()));
                    }
                    let sources = variables.iter_mut().filter(|(known, _)| *known == variable);
                    sources.for_each(|(_, steps)| {
                        steps.entry(number).or_default().push((path.clone(), facts.clone()));
                    });
                }
            }
        }
        let mut rasters = Vec::new();
        for (variable, steps) in variables {
            let name = file_name(&variable);
            // Of a name that is too long the variable stays.
            let room = super::LONGEST_NAME - "_".len() - name.len();
            let file = &series.stem[..series.stem.floor_char_boundary(room)];
            let stem = if is_alone { name } else { format!("{file}_{name}") };
            let named = steps.into_iter().map(|(number, sources)| {
                let date = series.steps[number].date;
                let stem = date.map_or_else(|| stem.clone(), |date| format!("{stem}_{}", label(date)));
                Named { stem, dated: Dated { date, sources } }
            });
            let mut named: Vec<Named> = named.collect();
            if let [only] = named.as_mut_slice() {
                only.stem.clone_from(&stem);
            }
            rasters.extend(together_or_apart(&stem, named)?);
        }
        Ok(rasters)
    }

    fn take(&mut self, name: &str) -> Result<PathBuf, IngestError> {
        let path = self.scratch.join(format!("{}.nc", self.taken.len()));
        fs::rename(self.unpacked.join(name), &path).disk(|| format!("move '{name}'"))?;
        self.taken.insert(name.to_owned(), path.clone());
        Ok(path)
    }

    fn give_back(&mut self, series: &Series) -> Result<(), IngestError> {
        for name in series.steps.iter().flat_map(|step| &step.layer.files) {
            // Those behind the one that failed were not taken yet.
            if let Some(path) = self.taken.get(name) {
                fs::rename(path, self.unpacked.join(name)).disk(|| format!("move '{name}'"))?;
            }
        }
        Ok(())
    }
}

/// A variable's name as that of a file.
fn file_name(variable: &str) -> String {
    let name: String =
        variable.chars().map(|c| if c.is_alphanumeric() || "_-.+@".contains(c) { c } else { '_' }).collect();
    name[..name.floor_char_boundary(LONGEST_VARIABLE)].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_variables_are_names_of_files() {
        assert_eq!(file_name("SWI_005"), "SWI_005");
        assert_eq!(file_name("a/b\0c d"), "a_b_c_d");
        assert_eq!(file_name(&"é".repeat(300)).len(), 120);
    }
}
