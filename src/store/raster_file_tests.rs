//! Tests of the raster file: ours, GDAL's, and damaged ones.

#![allow(clippy::unwrap_used)]

use std::os::unix::fs::FileExt;

use proptest::prelude::*;

use super::*;
use crate::store::entry::{BandMeta, Number, Overview};
use crate::store::{entry_dir, fixture};

fn bytes_of(raster: &RasterFile, range: TileRange) -> Vec<u8> {
    let mut bytes = vec![0; range.length as usize];
    raster.file().read_exact_at(&mut bytes, range.offset).unwrap();
    bytes
}

fn opened(dir: &tempfile::TempDir, meta: &RasterMeta) -> RasterFile {
    fixture::write_raster(dir.path(), meta);
    RasterFile::open(&entry_dir::raster_path(dir.path(), meta), meta).unwrap()
}

#[test]
fn every_tile_of_every_level_and_band_is_found() {
    for (pixel, bands, nodata) in [
        (PixelType::UInt8, 1, Some(255.0)),
        (PixelType::Int16, 3, Some(-9999.0)),
        (PixelType::Float32, 2, None),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let meta = RasterMeta {
            bands: vec![BandMeta::default(); bands],
            nodata: nodata.map(Number),
            ..fixture::raster("r", pixel, 1700, 1300)
        };
        let raster = opened(&dir, &meta);
        assert_eq!(raster.levels(), 3);
        assert_eq!((raster.rows(0), raster.columns(0)), (3, 4));
        assert_eq!((raster.rows(2), raster.columns(2)), (1, 1));
        assert_eq!((raster.rows(3), raster.columns(3)), (0, 0));
        let mut missing = 0;
        for (level, factor) in [1, 2, 4].into_iter().enumerate() {
            for band in 0..raster.bands() {
                for row in 0..raster.rows(level) {
                    let of_row = raster.row(level, band, row).unwrap();
                    assert_eq!(of_row.len(), raster.columns(level) as usize);
                    for column in 0..raster.columns(level) {
                        let tile = TileId { level, band, row, column };
                        let range = raster.tile(tile).unwrap();
                        assert_eq!(range, of_row[column as usize]);
                        let expected = fixture::tile(&meta, factor, band as usize, row, column);
                        match range {
                            Some(range) => {
                                let decoded =
                                    zstd::stream::decode_all(bytes_of(&raster, range).as_slice()).unwrap();
                                assert!(decoded == expected, "tile {tile} differs");
                            }
                            None => missing += 1,
                        }
                    }
                }
            }
        }
        // (x + y) % 3 == 2 for 4 of the 12 tiles of the full resolution.
        assert_eq!(missing, 4 * bands);
        raster.verify_index().unwrap();
    }
}

#[test]
fn the_shard_index_agrees_with_the_tiff() {
    let dir = tempfile::tempdir().unwrap();
    let raster = opened(&dir, &fixture::classes("r", 1700, 1300));
    let mut seen = 0;
    raster
        .walk_index(|first, entries| {
            for (entry, index) in entries.iter().zip(first..) {
                let tile = raster.tile(raster.tile_at(0, index)).map_err(|error| error.kind)?;
                assert_eq!(*entry, tile);
                seen += 1;
            }
            Ok(())
        })
        .unwrap();
    assert_eq!(seen, raster.tiles(0));
}

#[test]
fn large_tables_stay_in_the_file() {
    let dir = tempfile::tempdir().unwrap();
    // 257 by 257 tiles are more than the table in memory takes; all are missing, so the file stays small.
    let side = 257 * TILE;
    let meta = RasterMeta { overviews: vec![], ..fixture::classes("r", side, side) };
    let path = dir.path().join("large");
    let tiles = 257 * 257_u64;
    let small = RasterMeta { width: 100, height: 100, ..meta.clone() };
    fixture::write_raster(dir.path(), &small);
    let mut bytes = std::fs::read(entry_dir::raster_path(dir.path(), &small)).unwrap();
    // Point the small file's directory to tables at its end; tile 70 (row 0) and the last one are there.
    let data = bytes.len() as u64;
    let mut table = vec![0_u8; tiles as usize * 8];
    table[70 * 8..71 * 8].copy_from_slice(&20_u64.to_le_bytes());
    table[(tiles as usize - 1) * 8..].copy_from_slice(&16_u64.to_le_bytes());
    patch(&mut bytes, IMAGE_WIDTH, 1, u64::from(side));
    patch(&mut bytes, IMAGE_LENGTH, 1, u64::from(side));
    patch(&mut bytes, TILE_OFFSETS, tiles, data);
    patch(&mut bytes, TILE_BYTE_COUNTS, tiles, data);
    bytes.extend(table);
    std::fs::write(&path, bytes).unwrap();

    let raster = RasterFile::open(&path, &meta).unwrap();
    assert!(matches!(raster.levels[0].table, Table::File { .. }));
    let tile = |row, column| raster.tile(TileId { level: 0, band: 0, row, column }).unwrap();
    assert_eq!(tile(0, 70), Some(TileRange { offset: 20, length: 20 }));
    assert_eq!(tile(0, 71), None);
    assert_eq!(tile(256, 256), Some(TileRange { offset: 16, length: 16 }));
    let row = raster.row(0, 0, 256).unwrap();
    assert_eq!(row.iter().flatten().count(), 1);
    assert_eq!(row[256], Some(TileRange { offset: 16, length: 16 }));
}

/// Overwrites count and value of a field in the first directory.
fn patch(bytes: &mut [u8], tag: u16, count: u64, value: u64) {
    let fields = u64::from_le_bytes(bytes[16..24].try_into().unwrap()) as usize;
    let start = (0..fields)
        .map(|field| 24 + field * 20)
        .find(|&start| u16::from_le_bytes([bytes[start], bytes[start + 1]]) == tag)
        .unwrap();
    bytes[start + 4..start + 12].copy_from_slice(&count.to_le_bytes());
    bytes[start + 12..start + 20].copy_from_slice(&value.to_le_bytes());
}

#[test]
fn a_cog_by_gdal_is_read_like_ours() {
    let dir = tempfile::tempdir().unwrap();
    let plain = dir.path().join("plain.tif");
    let path = dir.path().join("cog.tif");
    let (width, height) = (1500, 1100);
    {
        let driver = gdal::DriverManager::get_driver_by_name("GTiff").unwrap();
        let dataset = driver.create_with_band_type::<u16, _>(&plain, width, height, 1).unwrap();
        let mut band = dataset.rasterband(1).unwrap();
        let pixels: Vec<u16> = (0..width * height).map(|pixel| (pixel % 777) as u16).collect();
        let mut buffer = gdal::raster::Buffer::new((width, height), pixels);
        band.write((0, 0), (width, height), &mut buffer).unwrap();
    }
    let driver = gdal::DriverManager::get_driver_by_name("COG").unwrap();
    let mut options = gdal::raster::RasterCreationOptions::new();
    for (key, option) in [("COMPRESS", "ZSTD"), ("BIGTIFF", "YES"), ("BLOCKSIZE", "512"), ("PREDICTOR", "NO")]
    {
        options.set_name_value(key, option).unwrap();
    }
    gdal::Dataset::open(&plain).unwrap().create_copy(&driver, &path, &options).unwrap();

    let overview = |factor, width, height| Overview { factor, width, height };
    let meta = RasterMeta {
        overviews: vec![overview(2, 750, 550), overview(4, 375, 275)],
        ..fixture::raster("r", PixelType::UInt16, width as u32, height as u32)
    };
    let raster = RasterFile::open(&path, &meta).unwrap();
    assert_eq!((raster.levels(), raster.rows(0), raster.columns(0)), (3, 3, 3));
    for level in 0..3 {
        for row in 0..raster.rows(level) {
            for range in raster.row(level, 0, row).unwrap() {
                let decoded = zstd::stream::decode_all(bytes_of(&raster, range.unwrap()).as_slice()).unwrap();
                assert_eq!(decoded.len(), 512 * 512 * 2);
            }
        }
    }
    let middle = raster.tile(TileId { level: 0, band: 0, row: 1, column: 1 }).unwrap().unwrap();
    let decoded = zstd::stream::decode_all(bytes_of(&raster, middle).as_slice()).unwrap();
    assert_eq!(u16::from_le_bytes([decoded[0], decoded[1]]), ((512 * width + 512) % 777) as u16);
    // GDAL knows no shard index.
    assert!(matches!(raster.verify_index().unwrap_err().kind, RasterErrorKind::Index(_)));
}

#[test]
fn what_the_entry_does_not_describe_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let meta = fixture::classes("r", 1700, 1300);
    fixture::write_raster(dir.path(), &meta);
    let path = entry_dir::raster_path(dir.path(), &meta);
    let wrong: [fn(&mut RasterMeta); 7] = [
        |meta| meta.width += 1,
        |meta| meta.height -= 1,
        |meta| meta.pixel = PixelType::Int8,
        |meta| meta.pixel = PixelType::UInt16,
        |meta| meta.codec = Codec::Zlib { level: 6 },
        |meta| meta.bands.push(BandMeta::default()),
        |meta| meta.overviews.truncate(1),
    ];
    for change in wrong {
        let mut other = meta.clone();
        change(&mut other);
        let error = RasterFile::open(&path, &other).unwrap_err();
        assert!(error.to_string().contains("evict"), "{error}");
    }
}

#[test]
fn tiles_outside_the_grid_are_errors() {
    let dir = tempfile::tempdir().unwrap();
    let raster = opened(&dir, &fixture::classes("r", 1700, 1300));
    let inside = TileId { level: 0, band: 0, row: 2, column: 3 };
    assert!(raster.has_tile(inside) && raster.tile(inside).is_ok());
    for outside in [
        TileId { level: 3, ..inside },
        TileId { band: 1, ..inside },
        TileId { row: 3, ..inside },
        TileId { column: 4, ..inside },
    ] {
        assert!(!raster.has_tile(outside));
        assert!(matches!(raster.tile(outside).unwrap_err().kind, RasterErrorKind::NoSuchTile { .. }));
    }
}

#[test]
fn a_changed_or_cut_index_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let meta = fixture::classes("r", 1700, 1300);
    let raster = opened(&dir, &meta);
    let path = raster.path().to_owned();
    let good = std::fs::read(&path).unwrap();
    for back in [1, 4, 5, 100, 12 * 16 + 4] {
        let mut bad = good.clone();
        let position = bad.len() - back;
        bad[position] ^= 0x10;
        std::fs::write(&path, bad).unwrap();
        let error = RasterFile::open(&path, &meta).unwrap().verify_index().unwrap_err();
        assert!(matches!(error.kind, RasterErrorKind::Index(ShardIndexError::Checksum { .. })), "{error}");
    }
    for cut in [1, 16, 1000] {
        std::fs::write(&path, &good[..good.len() - cut]).unwrap();
        assert!(RasterFile::open(&path, &meta).and_then(|raster| raster.verify_index()).is_err());
    }
}

/// Opens bytes as a raster file and asks for every tile: any result will do, a panic will not.
fn exercise(bytes: &[u8], meta: &RasterMeta) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("raster");
    std::fs::write(&path, bytes).unwrap();
    let Ok(raster) = RasterFile::open(&path, meta) else { return };
    let _ = raster.verify_index();
    for level in 0..raster.levels() {
        for band in 0..raster.bands() {
            for row in 0..raster.rows(level) {
                let _ = raster.row(level, band, row);
                for column in 0..raster.columns(level) {
                    if let Ok(Some(range)) = raster.tile(TileId { level, band, row, column }) {
                        assert!(range.length > 0 && range.offset + range.length <= bytes.len() as u64);
                    }
                }
            }
        }
    }
}

/// A small real file, made once.
fn sample() -> (Vec<u8>, RasterMeta) {
    let dir = tempfile::tempdir().unwrap();
    let meta = fixture::classes("r", 900, 600);
    fixture::write_raster(dir.path(), &meta);
    (std::fs::read(entry_dir::raster_path(dir.path(), &meta)).unwrap(), meta)
}

proptest! {
    #[test]
    fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        let mut bytes = bytes;
        exercise(&bytes, &fixture::classes("r", 900, 600));
        let header = [b'I', b'I', 43, 0, 8, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0];
        bytes.splice(..header.len().min(bytes.len()), header);
        exercise(&bytes, &fixture::classes("r", 900, 600));
    }
}

#[test]
fn damaged_heads_never_panic() {
    let (good, meta) = sample();
    let runner_config = ProptestConfig::with_cases(400);
    let strategy = proptest::collection::vec((0..1000_usize, any::<u8>()), 1..6);
    proptest::test_runner::TestRunner::new(runner_config)
        .run(&(strategy, 0..good.len()), |(changes, cut)| {
            let mut bytes = good.clone();
            for (position, byte) in changes {
                bytes[position] = byte;
            }
            exercise(&bytes, &meta);
            exercise(&good[..cut], &meta);
            Ok(())
        })
        .unwrap();
}
