//! Tests of the proof: good entries pass, every kind of damage is named.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::store::entry::{BandMeta, PixelType, SideFile};
use crate::store::fixture;

fn on(_: Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// An entry of two rasters (zstd, and zlib with two bands) and a side file.
fn entry() -> (tempfile::TempDir, EntryMeta) {
    let dir = tempfile::tempdir().unwrap();
    let second = RasterMeta {
        codec: Codec::Zlib { level: 6 },
        bands: vec![BandMeta::default(); 2],
        nodata: Some(Number(f64::NAN)),
        ..fixture::raster("second", PixelType::Float32, 700, 600)
    };
    let mut meta = fixture::meta("product", vec![fixture::classes("first", 1100, 700), second]);
    meta.originals = vec![SideFile { path: "Metadata/a.xml".into(), size: 12, sha256: None }];
    fixture::write_entry(dir.path(), &meta);
    (dir, meta)
}

#[test]
fn a_good_entry_is_proven() {
    let (dir, meta) = entry();
    assert_eq!(quick(dir.path()).unwrap(), meta);
    let mut last = Progress { done: 0, total: 0 };
    let proof = full(dir.path(), |progress| {
        assert!(progress.done > last.done);
        last = progress;
        ControlFlow::Continue(())
    })
    .unwrap();
    // First: 3x2, 2x1, 1; second: (2x2, 1) times two bands. Of each 3x2 and 2x2 grid (x + y) % 3 == 2 is missing.
    assert_eq!((last.done, last.total), (9 + 10, 9 + 10));
    assert_eq!((proof.tiles, proof.missing), (19 - 4, 4));
    assert_eq!(proof.without_checksum, 0);
    assert!(proof.encoded_bytes > 1000);
}

#[test]
fn every_flipped_byte_of_a_tile_is_found() {
    let (dir, meta) = entry();
    for (raster_meta, level) in [(&meta.rasters[0], 0), (&meta.rasters[0], 2), (&meta.rasters[1], 1)] {
        let path = entry_dir::raster_path(dir.path(), raster_meta);
        let good = std::fs::read(&path).unwrap();
        let raster = RasterFile::open(&path, raster_meta).unwrap();
        let tile = TileId { level, band: 0, row: 0, column: 0 };
        let range = raster.tile(tile).unwrap().unwrap();
        for position in [0, range.length / 2, range.length - 1] {
            let mut bad = good.clone();
            bad[(range.offset + position) as usize] ^= 0x40;
            std::fs::write(&path, bad).unwrap();
            quick(dir.path()).unwrap();
            match full(dir.path(), on).unwrap_err() {
                VerifyError::Tile { path: named, tile: found, .. } => {
                    assert_eq!((named, found), (path.clone(), tile));
                }
                other => panic!("{other}"),
            }
        }
        std::fs::write(&path, good).unwrap();
    }
    full(dir.path(), on).unwrap();
}

#[test]
fn side_files_have_their_checksums() {
    let (dir, mut meta) = entry();
    meta.rasters.truncate(1);
    let large = vec![b'o'; 2 * PIECE as usize + 1];
    let sum = |bytes: &[u8]| Checksum::of(bytes, |_| ControlFlow::Continue(())).unwrap();
    meta.originals = vec![
        SideFile { path: "Metadata/a.xml".into(), size: 12, sha256: None },
        SideFile { path: "a.gpkg".into(), size: large.len() as u64, sha256: sum(&large) },
        SideFile { path: "empty".into(), size: 0, sha256: sum(b"") },
    ];
    fixture::write_entry(dir.path(), &meta);
    let mut last = Progress { done: 0, total: 0 };
    let proof = full(dir.path(), |progress| {
        last = progress;
        ControlFlow::Continue(())
    });
    let proof = proof.unwrap();
    assert_eq!((proof.files, proof.files_without_checksum), (2, 1));
    assert_eq!((last.done, last.total), (9 + 3, 9 + 3));

    let stopped = full(dir.path(), |progress| match progress.done {
        11 => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    });
    assert!(matches!(stopped, Err(VerifyError::Cancelled)));

    let path = entry_dir::original_path(dir.path(), "a.gpkg");
    let mut bad = large;
    bad[PIECE as usize + 7] ^= 1;
    std::fs::write(&path, bad).unwrap();
    quick(dir.path()).unwrap();
    let error = full(dir.path(), on).unwrap_err();
    assert!(matches!(&error, VerifyError::File { path: named, .. } if *named == path), "{error}");
    assert!(error.is_damage() && error.to_string().contains("checksum"));
}

#[test]
fn tables_that_disagree_are_found() {
    let (dir, meta) = entry();
    let path = entry_dir::raster_path(dir.path(), &meta.rasters[0]);
    let mut bytes = std::fs::read(&path).unwrap();
    // Swap the first two entries of the shard index and repair its checksum.
    let start = bytes.len() - (6 * 16 + 4);
    let end = bytes.len() - 4;
    bytes[start..start + 32].rotate_left(16);
    let checksum = crc32c::crc32c(&bytes[start..end]);
    bytes[end..].copy_from_slice(&checksum.to_le_bytes());
    std::fs::write(&path, bytes).unwrap();
    quick(dir.path()).unwrap();
    let error = full(dir.path(), on).unwrap_err();
    let first = TileId { level: 0, band: 0, row: 0, column: 0 };
    assert!(matches!(error, VerifyError::Disagreement { tile, .. } if tile == first), "{error}");
}

#[test]
fn damage_around_the_pixels_is_found_quickly() {
    let (dir, meta) = entry();
    let raster = entry_dir::raster_path(dir.path(), &meta.rasters[0]);
    let array = entry_dir::array_path(dir.path(), &meta.rasters[1]);
    let side = entry_dir::original_path(dir.path(), "Metadata/a.xml");
    let group = entry_dir::group_path(dir.path());
    for path in [raster, array, side, group] {
        let good = std::fs::read(&path).unwrap();
        std::fs::write(&path, &good[..good.len() - 2]).unwrap();
        let error = quick(dir.path()).unwrap_err();
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
        std::fs::remove_file(&path).unwrap();
        assert!(quick(dir.path()).is_err());
        std::fs::write(&path, good).unwrap();
        quick(dir.path()).unwrap();
    }
}

#[test]
fn an_array_that_describes_something_else_is_found() {
    let (dir, meta) = entry();
    let path = entry_dir::array_path(dir.path(), &meta.rasters[1]);
    let good = std::fs::read_to_string(&path).unwrap();
    for (from, to) in [("float32", "float64"), ("\"NaN\"", "0.0"), ("\"array\"", "\"group\""), ("700", "701")]
    {
        assert!(good.contains(from));
        std::fs::write(&path, good.replace(from, to)).unwrap();
        let error = quick(dir.path()).unwrap_err();
        assert!(matches!(error, VerifyError::File { .. }), "{from}: {error}");
    }
}

#[test]
fn a_proof_can_be_cancelled() {
    let (dir, _) = entry();
    let mut calls = 0;
    let error = full(dir.path(), |_| {
        calls += 1;
        ControlFlow::Break(())
    })
    .unwrap_err();
    assert!(matches!(error, VerifyError::Cancelled));
    assert_eq!(calls, 1);
}

#[test]
fn streams_without_checksum_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    let raster = RasterMeta { overviews: vec![], ..fixture::classes("r", 300, 300) };
    let tile = TileId { level: 0, band: 0, row: 0, column: 0 };
    let plain = zstd::bulk::compress(&fixture::tile(&raster, 1, 0, 0, 0), 1).unwrap();
    let path = dir.path().join("tile");
    std::fs::write(&path, &plain).unwrap();
    let range = TileRange { offset: 0, length: plain.len() as u64 };
    let mut decoder = TileDecoder::new(&raster);
    assert!(matches!(decoder.prove(&File::open(&path).unwrap(), range), Ok(false)));
    let long = zstd::bulk::compress(&vec![0; 512 * 512 + 1], 1).unwrap();
    std::fs::write(&path, &long).unwrap();
    let range = TileRange { offset: 0, length: long.len() as u64 };
    let error = decoder.prove(&File::open(&path).unwrap(), range).unwrap_err();
    assert!(matches!(&error, Unproven::Damaged(reason) if reason.contains("262145")), "{tile}: {error:?}");
}
