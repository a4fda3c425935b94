//! The catalogue on disk.

use std::path::Path;

use super::*;

#[test]
fn a_snapshot_brings_everything_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("catalog.snapshot");
    let first = sample();
    first.save(&path).unwrap();
    let second = Catalog::load(&path).unwrap();
    assert_eq!(documents(&first), documents(&second));
    assert_eq!(first.fetched(), second.fetched());
    assert_eq!(first.left_out(), second.left_out());
    // Saving over the file it reads from.
    second.save(&path).unwrap();
    assert_eq!(documents(&second), documents(&Catalog::load(&path).unwrap()));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "no temporary file stays");
}

#[test]
fn a_snapshot_is_listed_without_unpacking_a_record() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    sample().save(&path).unwrap();
    let catalog = Catalog::load(&path).unwrap();
    let unpacked = || -> Vec<&str> {
        let datasets = catalog.datasets().iter().filter(|dataset| dataset.is_unpacked());
        datasets.map(|dataset| dataset.name().as_str()).collect()
    };
    let listed: Vec<_> =
        catalog.datasets().iter().map(|dataset| (dataset.name().as_str(), dataset.product_count())).collect();
    assert_eq!(listed, [("b", 1), ("clc2018", 2)]);
    assert_eq!((catalog.product_count(), catalog.left_out().len()), (3, 1));
    catalog_document(&catalog);
    assert!(catalog.find("no/such/thing").is_none());
    super::remarks::Withdrawn::new(&catalog, &|_| false, &|_| true);
    assert_eq!(unpacked(), [""; 0]);
    assert!(catalog.find("clc2018/raster").is_some());
    assert_eq!(unpacked(), ["clc2018"]);
}

#[test]
fn a_record_that_cannot_be_read_any_more_is_an_error_and_not_an_empty_dataset() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    sample().save(&path).unwrap();
    let catalog = Catalog::load(&path).unwrap();
    std::fs::File::options().write(true).open(&path).unwrap().set_len(20).unwrap();
    assert!(
        catalog.datasets().iter().all(|dataset| dataset.load().is_err() && dataset.products().len() == 0)
    );
    // what could be read stays
    sample().save(&path).unwrap();
    let catalog = Catalog::load(&path).unwrap();
    catalog.datasets()[0].load().unwrap();
    std::fs::File::options().write(true).open(&path).unwrap().set_len(20).unwrap();
    assert_eq!(names(&catalog.datasets()[0]), ["x"]);
}

#[test]
fn a_snapshot_of_the_first_format_is_still_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    sample().save(&path).unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    let footer = bytes.split_off(bytes.len() - 24);
    let offset = u64::from_le_bytes(footer[..8].try_into().unwrap());
    let mut index: Value = serde_json::from_slice(&bytes.split_off(offset as usize)).unwrap();
    assert_eq!(index.as_object_mut().unwrap().remove("headings").unwrap().as_array().unwrap().len(), 3);
    let index = serde_json::to_vec(&index).unwrap();
    bytes[7] = b'1';
    bytes.extend(&index);
    bytes.extend(&footer[..8]);
    bytes.extend((index.len() as u32).to_le_bytes());
    bytes.extend(crc32c::crc32c(&index).to_le_bytes());
    bytes.extend(b"CLMSCATE");
    std::fs::write(&path, &bytes).unwrap();
    let (old, new) = (Catalog::load(&path).unwrap(), sample());
    assert_eq!(documents(&old), documents(&new));
    assert_eq!((old.left_out(), old.product_count()), (new.left_out(), new.product_count()));
}

#[test]
fn the_record_comes_back_as_the_service_gave_it() {
    let record = dataset("clc2018", &[file(1, r"\u2018_clc – é")]);
    let catalog = catalog(vec![record.clone()]);
    let bytes = catalog.metadata_document(&catalog.datasets()[0]).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&bytes).unwrap(), record);
    let keys: Vec<String> = serde_json::from_slice::<serde_json::Map<String, Value>>(&bytes)
        .unwrap()
        .into_iter()
        .map(|(key, _)| key)
        .collect();
    assert_eq!(keys[..2], ["UID", "id"], "in the service's order");
}

#[test]
fn damage_is_noticed_wherever_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    sample().save(&path).unwrap();
    let good = std::fs::read(&path).unwrap();
    for position in (0..good.len()).step_by(3) {
        let mut bad = good.clone();
        bad[position] ^= 0x55;
        std::fs::write(&path, &bad).unwrap();
        let error = Catalog::load(&path).unwrap_err();
        assert!(error.is_healed_by_refresh(), "byte {position}: {error}");
    }
    for length in (0..good.len()).step_by(13) {
        std::fs::write(&path, &good[..length]).unwrap();
        assert!(Catalog::load(&path).unwrap_err().is_healed_by_refresh(), "{length} bytes");
    }
    let mut later = good;
    later[7] = b'3';
    std::fs::write(&path, &later).unwrap();
    assert!(matches!(Catalog::load(&path), Err(CatalogError::UnknownFormat { .. })));
    assert!(matches!(Catalog::load(Path::new("/nowhere/at/all")), Err(CatalogError::Io { .. })));
}

#[test]
fn a_failed_save_leaves_the_old_snapshot() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    sample().save(&path).unwrap();
    assert!(sample().save(&dir.path().join("missing/s")).is_err());
    let folder = dir.path().join("folder");
    std::fs::create_dir(&folder).unwrap();
    assert!(sample().save(&folder).is_err(), "a folder is in the way");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
    assert_eq!(documents(&Catalog::load(&path).unwrap()), documents(&sample()));
}
