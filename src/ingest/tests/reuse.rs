//! A product of dates that is fetched anew: dates it had already are copied from its former entry.

use super::child::{block_on, program};
use super::series::{as_members, dated, package};
use super::*;
use crate::ingest::child::run_with;
use crate::store::raster_file::RasterFile;

/// The stored bytes of every tile of every level, and the description without that of the tiles.
fn stored(entry: &Path, raster: &RasterMeta) -> Vec<Option<Vec<u8>>> {
    use std::os::unix::fs::FileExt as _;
    let file = RasterFile::open(&raster_file(entry, raster), raster).unwrap();
    let mut tiles = Vec::new();
    for level in 0..file.levels() {
        for index in 0..file.tiles(level) {
            tiles.push(file.tile(file.tile_at(level, index)).unwrap().map(|range| {
                let mut bytes = vec![0; range.length as usize];
                file.file().read_exact_at(&mut bytes, range.offset).unwrap();
                bytes
            }));
        }
    }
    tiles
}

/// Converts in the sandboxed child; what it said of copies: (dates, tiles) for each raster.
fn convert(
    shop: &Workshop,
    package: &Path,
    former: Option<PathBuf>,
    consume: bool,
) -> (EntryMeta, Vec<(u64, u64)>) {
    let job = IngestJob { former, consume, ..shop.job(package) };
    let mut copied = Vec::new();
    let ingested = block_on(run_with(&program("convert"), job, |progress| {
        if let IngestProgress::Copied { dates, tiles } = progress {
            copied.push((dates, tiles));
        }
    }));
    (ingested.unwrap().meta, copied)
}

#[test]
fn dates_that_are_unchanged_are_copied_and_the_entry_is_what_a_conversion_from_scratch_makes() {
    let first = Workshop::new();
    let before = dated(&[0, 6, 12]);
    let (meta, copied) = convert(&first, &package(&first, &as_members(&before)), None, false);
    assert!(copied.is_empty());
    assert!(meta.rasters.iter().flat_map(|raster| &raster.bands).all(|band| band.fingerprint.is_some()));

    // A date before all others, a later one; and one of the old ones was corrected.
    let mut after = dated(&[2, 6, 12, 20]);
    let corrected = dated(&[5]).remove(0).1;
    after.iter_mut().find(|(name, _)| name.contains("20210107")).unwrap().1 = {
        // Still the sixth of January, but with the values of another day.
        let mut bytes = corrected;
        let of_day = |day: f64| day.to_be_bytes();
        let at = bytes.windows(8).position(|window| window == of_day(5.0)).unwrap();
        bytes[at..at + 8].copy_from_slice(&of_day(6.0));
        bytes
    };
    after.push(before[0].clone());
    for consume in [false, true] {
        let (scratch, again) = (Workshop::new(), Workshop::new());
        let (wanted, copied) = convert(&scratch, &package(&scratch, &as_members(&after)), None, false);
        assert!(copied.is_empty());
        let (found, copied) =
            convert(&again, &package(&again, &as_members(&after)), Some(first.entry()), consume);
        assert_eq!(found, wanted);
        // Two of five dates, 2×2 tiles and an overview of one: for each variable.
        assert_eq!(copied, [(2, 10), (2, 10)]);
        for raster in &found.rasters {
            assert_eq!(raster.times.len(), 5);
            assert!(stored(&again.entry(), raster) == stored(&scratch.entry(), raster), "{}", raster.name);
            let labels: Vec<_> = raster.bands.iter().map(|band| band.description.as_str()).collect();
            assert_eq!(labels, ["2021-01-01", "2021-01-03", "2021-01-07", "2021-01-13", "2021-01-21"]);
        }
        let preview = |shop: &Workshop| fs::read(shop.entry().join("preview.png")).unwrap();
        assert_eq!(preview(&again), preview(&scratch));
        let level: Vec<f64> = overview_pixels(&raster_file(&again.entry(), &found.rasters[0]), 5, 0);
        assert_eq!(level, overview_pixels(&raster_file(&scratch.entry(), &found.rasters[0]), 5, 0));
    }
}

#[test]
fn another_grid_or_another_way_of_storing_copies_nothing() {
    let first = Workshop::new();
    let (_, _) = convert(&first, &package(&first, &as_members(&dated(&[0, 6]))), None, false);
    let again = Workshop::new();
    let package = package(&again, &as_members(&dated(&[0, 6])));
    let mut job = IngestJob { former: Some(first.entry()), codec: CodecChoice::Zlib, ..again.job(&package) };
    let copies = |job: &IngestJob| {
        let mut copies = 0;
        let count = &mut |progress| copies += u32::from(matches!(progress, IngestProgress::Copied { .. }));
        ingest(job, count).unwrap();
        copies
    };
    assert_eq!(copies(&job), 0);
    job.codec = CodecChoice::Auto;
    assert_eq!(copies(&job), 2, "once for each variable");
}

#[test]
fn a_former_entry_that_cannot_be_used_costs_nothing_but_time() {
    let shop = Workshop::new();
    let package = package(&shop, &as_members(&dated(&[0, 6])));
    let (meta, copied) = convert(&shop, &package, Some(shop.path("nothing/there")), false);
    assert_eq!((meta.rasters.len(), copied.len()), (2, 0));
}
