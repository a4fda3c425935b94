//! Pixels, bit for bit: every type, odd sizes, nodata, bands, layouts, codecs.

use super::*;
use crate::ingest::grid;
use crate::ingest::overview::{Method, halve};
use crate::store::entry::Codec;

const PALETTE: [[u8; 4]; 4] = [[240, 240, 240, 255], [70, 158, 74, 255], [28, 92, 36, 255], [1, 2, 3, 255]];

/// A little landscape: areas of one value, areas of noise.
fn value(band: usize, y: usize, x: usize) -> u64 {
    let noise = ((x as u64 * 2_654_435_761) ^ (y as u64 * 40_503) ^ (band as u64 * 97)) >> 7;
    if (x / 200 + y / 300).is_multiple_of(2) { ((x / 90) as u64 + (y / 70) as u64) % 97 } else { noise % 251 }
}

fn round_trip<T: Pixel>(
    tiff: &Tiff<'_>,
    codec: CodecChoice,
    value: impl Fn(usize, usize, usize) -> T,
) -> RasterMeta {
    let shop = Workshop::new();
    let source = shop.path("in/a.tif");
    let expected = tiff.write(&source, value);
    let package = shop.zip(&[("a/a.tif", &source)]);
    let meta = ingest(&IngestJob { codec, ..shop.job(&package) }, &mut |_| {}).unwrap();
    let [raster] = meta.rasters.as_slice() else { panic!("one raster") };
    check_raster(&shop.entry(), raster, &expected);
    check_overviews::<T>(&shop.entry(), raster, &expected);
    raster.clone()
}

/// Makes the overviews again from the whole raster at once and compares every pixel.
fn check_overviews<T: Pixel>(entry: &Path, raster: &RasterMeta, pixels: &[T]) {
    let levels = grid::levels(raster.width, raster.height);
    let method = if raster.categorical { Method::Mode } else { Method::Mean };
    let nodata = raster.nodata.and_then(|number| T::exact(number.0));
    let plane = raster.width as usize * raster.height as usize;
    for (band, pixels) in pixels.chunks(plane).enumerate() {
        let mut finer = pixels.to_vec();
        for (number, pair) in levels.windows(2).enumerate() {
            let (width, height) = (pair[0].width as usize, pair[0].height as usize);
            let (half_width, half_height) = (pair[1].width as usize, pair[1].height as usize);
            let mut coarser = vec![T::ZERO; half_width * half_height];
            halve(method, nodata, &finer, width, (width, height), &mut coarser, half_width);
            let found = overview_pixels(&raster_file(entry, raster), band + 1, number);
            let same = found.iter().zip(&coarser).all(|(&a, b)| Number(a) == Number(b.to_f64()));
            assert!(same && found.len() == coarser.len(), "overview {number} of band {band}");
            finer = coarser;
        }
    }
}

#[test]
fn every_pixel_type_survives() {
    fn check<T: Pixel>(nodata: Option<f64>, value: impl Fn(usize, usize, usize) -> T) {
        let raster =
            round_trip(&Tiff { size: (1100, 700), nodata, ..Tiff::default() }, CodecChoice::Auto, value);
        assert_eq!(raster.nodata, nodata.map(Number));
        assert!(!raster.categorical);
    }
    check(Some(255.0), |b, y, x| value(b, y, x) as u8);
    check(Some(-128.0), |b, y, x| (value(b, y, x) as i64 - 128) as i8);
    check(Some(65535.0), |b, y, x| (value(b, y, x) * 250) as u16);
    check(Some(-32768.0), |b, y, x| (value(b, y, x) as i64 * 100 - 9000) as i16);
    check(Some(4_294_967_295.0), |b, y, x| (value(b, y, x) * 17_000_000) as u32);
    check(Some(-9999.0), |b, y, x| (value(b, y, x) as i64 * 8_000_000 - 1_000_000_000) as i32);
    check(Some(f64::from(f32::MIN)), |b, y, x| (value(b, y, x) as f32).sin() * 1e6);
    check(Some(-1e300), |b, y, x| (value(b, y, x) as f64).cos() * 1e-9);
    check(None, |b, y, x| value(b, y, x) as u8);
    check(None, |b, y, x| value(b, y, x) as f32);
}

#[test]
fn odd_sizes_survive() {
    for size in [(1, 1), (1, 700), (511, 513), (512, 512), (513, 1), (1024, 1024), (1025, 2049), (3000, 40)] {
        round_trip(&Tiff { size, nodata: Some(7.0), ..Tiff::default() }, CodecChoice::Auto, |b, y, x| {
            value(b, y, x) as u8
        });
        let palette = &PALETTE;
        let tiff = Tiff { size, nodata: Some(3.0), palette, ..Tiff::default() };
        let raster = round_trip(&tiff, CodecChoice::Auto, |b, y, x| (value(b, y, x) % 4) as u8);
        assert!(raster.categorical);
    }
}

#[test]
fn nan_and_missing_areas_survive() {
    let tiff = Tiff { size: (2000, 1500), nodata: Some(f64::NAN), ..Tiff::default() };
    let raster =
        round_trip(
            &tiff,
            CodecChoice::Auto,
            |b, y, x| {
                if x < 1100 { f32::NAN } else { value(b, y, x) as f32 }
            },
        );
    let statistics = raster.bands[0].statistics.unwrap();
    assert!((statistics.valid_percent - 45.0).abs() < 1e-9);
    assert_eq!(raster.nodata, Some(Number(f64::NAN)));
    // NaN pixels without a nodata value.
    let raster = round_trip(&Tiff { size: (600, 600), ..Tiff::default() }, CodecChoice::Auto, |_, y, x| {
        if (x + y) % 3 == 0 { f64::NAN } else { -0.0 }
    });
    assert_eq!(raster.nodata, None);
    // All nodata: nothing but the header, no statistics.
    let tiff = Tiff { size: (1300, 1300), nodata: Some(255.0), ..Tiff::default() };
    let raster = round_trip(&tiff, CodecChoice::Auto, |_, _, _| 255u8);
    assert_eq!(raster.bands[0].statistics, None);
}

#[test]
fn missing_tiles_take_no_room() {
    let shop = Workshop::new();
    let source = shop.path("in/a.tif");
    let tiff = Tiff { size: (4000, 3000), nodata: Some(200.0), ..Tiff::default() };
    tiff.write(&source, |_, y, x| if x < 512 && y < 512 { (x % 7) as u8 } else { 200u8 });
    let meta = shop.ingest(&shop.zip(&[("a.tif", &source)])).unwrap();
    let length = fs::metadata(raster_file(&shop.entry(), &meta.rasters[0])).unwrap().len();
    assert!(length < 40_000, "{length} bytes");
}

#[test]
fn several_bands_are_planes() {
    for options in [&["INTERLEAVE=PIXEL"][..], &["INTERLEAVE=BAND", "TILED=YES"]] {
        let tiff = Tiff { size: (1300, 600), bands: 3, nodata: Some(0.0), options, ..Tiff::default() };
        let raster = round_trip(&tiff, CodecChoice::Auto, |b, y, x| value(b, y, x) as u16 + b as u16 * 300);
        assert_eq!(raster.bands.len(), 3);
        assert!(raster.bands[2].statistics.unwrap().minimum >= 600.0);
    }
}

#[test]
fn source_layouts_do_not_matter() {
    for options in [
        &["COMPRESS=LZW"][..],
        &["COMPRESS=LZW", "TILED=YES", "PREDICTOR=2"],
        &["COMPRESS=DEFLATE", "BLOCKYSIZE=17"],
        &["COMPRESS=DEFLATE", "TILED=YES", "BLOCKXSIZE=128", "BLOCKYSIZE=128"],
        &["COMPRESS=ZSTD", "TILED=YES", "BLOCKXSIZE=1024", "BLOCKYSIZE=256", "BIGTIFF=YES"],
        &["TILED=YES", "ENDIANNESS=BIG"],
    ] {
        for codec in [CodecChoice::Auto, CodecChoice::Zlib, CodecChoice::Zstd] {
            let tiff = Tiff { size: (2100, 1100), nodata: Some(9.0), options, ..Tiff::default() };
            let raster = round_trip(&tiff, codec, |b, y, x| value(b, y, x) as i16);
            assert_eq!(matches!(raster.codec, Codec::Zlib { .. }), codec == CodecChoice::Zlib);
        }
    }
}

#[test]
fn fitting_tiles_are_copied() {
    let tiled = ["TILED=YES", "BLOCKXSIZE=512", "BLOCKYSIZE=512"];
    for (compress, is_zlib) in [("COMPRESS=DEFLATE", true), ("COMPRESS=ZSTD", false)] {
        for extra in ["BIGTIFF=NO", "BIGTIFF=YES", "SPARSE_OK=TRUE", "PREDICTOR=2", "ENDIANNESS=BIG"] {
            let options = [tiled[0], tiled[1], tiled[2], compress, extra];
            let shop = Workshop::new();
            let source = shop.path("in/a.tif");
            let tiff = Tiff { size: (2100, 1100), nodata: Some(9.0), options: &options, ..Tiff::default() };
            let expected = tiff.write(&source, |b, y, x| if x < 600 { 9 } else { value(b, y, x) as i32 });
            let meta = shop.ingest(&shop.zip(&[("a.tif", &source)])).unwrap();
            let raster = &meta.rasters[0];
            check_raster(&shop.entry(), raster, &expected);
            check_overviews(&shop.entry(), raster, &expected);
            let copied = !matches!(extra, "PREDICTOR=2" | "ENDIANNESS=BIG");
            assert_eq!(matches!(raster.codec, Codec::Zlib { .. }), is_zlib && copied, "{options:?}");
        }
    }
}

#[test]
fn overviews_of_noise_are_stored_and_read_all_the_same() {
    let options = ["TILED=YES", "BLOCKXSIZE=512", "BLOCKYSIZE=512", "COMPRESS=DEFLATE"];
    let tiff = Tiff { size: (1024, 1024), nodata: Some(-1.0), options: &options, ..Tiff::default() };
    for (rough, level) in [(true, 0), (false, 1)] {
        let raster = round_trip(&tiff, CodecChoice::Auto, |_, y, x| {
            let noise = (x as u32).wrapping_mul(1_103_515_245).rotate_left(11)
                ^ (y as u32).wrapping_mul(2_654_435_761).rotate_left(7);
            if rough { (noise % 8_388_593) as f32 } else { (x / 100) as f32 }
        });
        assert_eq!(raster.codec, Codec::Zlib { level }, "rough {rough}");
    }
}

#[test]
fn a_copied_tile_is_the_sources_tile() {
    let shop = Workshop::new();
    let source = shop.path("in/a.tif");
    let options = ["TILED=YES", "BLOCKXSIZE=512", "BLOCKYSIZE=512", "COMPRESS=DEFLATE", "ZLEVEL=9"];
    Tiff { size: (700, 500), options: &options, ..Tiff::default() }
        .write(&source, |b, y, x| value(b, y, x) as u8);
    let package = shop.zip(&[("a.tif", &source)]);
    let meta = shop.ingest(&package).unwrap();
    let tile = |path: &Path| {
        let dataset = Dataset::open(path).unwrap();
        let band = dataset.rasterband(1).unwrap();
        let item = |key: &str| band.metadata_item(key, "TIFF").unwrap().parse::<usize>().unwrap();
        let (offset, size) = (item("BLOCK_OFFSET_1_0"), item("BLOCK_SIZE_1_0"));
        fs::read(path).unwrap()[offset..offset + size].to_vec()
    };
    assert_eq!(tile(&raster_file(&shop.entry(), &meta.rasters[0])), tile(&source));
}

#[test]
fn small_memory_and_many_threads_give_the_same_bytes_of_pixels() {
    let shop = Workshop::new();
    let source = shop.path("in/a.tif");
    let tiff = Tiff { size: (5000, 4000), nodata: Some(0.0), options: &["COMPRESS=LZW"], ..Tiff::default() };
    let expected = tiff.write(&source, |b, y, x| (value(b, y, x) as f32).sqrt());
    let package = shop.zip(&[("a.tif", &source)]);
    let mut found = Vec::new();
    for (threads, memory_bytes) in [(1, 1 << 30), (3, 1 << 20), (8, 64 << 20)] {
        let limits = Limits { threads, memory_bytes, ..Limits::default() };
        let meta = ingest(&IngestJob { limits, ..shop.job(&package) }, &mut |_| {}).unwrap();
        check_raster(&shop.entry(), &meta.rasters[0], &expected);
        found.push(meta.rasters[0].clone());
    }
    for other in &found[1..] {
        let (a, b) = (found[0].bands[0].statistics.unwrap(), other.bands[0].statistics.unwrap());
        assert_eq!((a.minimum, a.maximum, a.valid_percent), (b.minimum, b.maximum, b.valid_percent));
        assert!((a.mean - b.mean).abs() < 1e-9 && (a.stddev - b.stddev).abs() < 1e-9);
    }
}

#[test]
fn palettes_of_8_and_16_bits_survive() {
    fn palette_of(path: &Path) -> Vec<[u8; 4]> {
        source::inspect(path, "x").unwrap().palette
    }
    let shop = Workshop::new();
    let source = shop.path("in/a.tif");
    let tiff = Tiff { size: (600, 600), palette: &PALETTE, nodata: Some(3.0), ..Tiff::default() };
    tiff.write(&source, |b, y, x| (value(b, y, x) % 4) as u8);
    let meta = shop.ingest(&shop.zip(&[("a.tif", &source)])).unwrap();
    let raster = &meta.rasters[0];
    assert_eq!(raster.palette, palette_of(&source));
    assert_eq!(raster.palette, palette_of(&raster_file(&shop.entry(), raster)));
    assert_eq!(raster.palette[1], [70, 158, 74, 255]);
    let shop = Workshop::new();
    let source = shop.path("in/a.tif");
    let palette: Vec<[u8; 4]> = (0..=600u16).map(|i| [(i % 256) as u8, (i / 3) as u8, 9, 255]).collect();
    Tiff { size: (600, 600), palette: &palette, ..Tiff::default() }
        .write(&source, |b, y, x| value(b, y, x) as u16);
    let meta = shop.ingest(&shop.zip(&[("a.tif", &source)])).unwrap();
    let raster = &meta.rasters[0];
    assert_eq!(raster.palette, palette);
    assert_eq!(palette_of(&raster_file(&shop.entry(), raster)), palette);
}

#[test]
fn scale_offset_unit_description_and_statistics_are_in_the_tiff() {
    let shop = Workshop::new();
    let source = shop.path("in/a.tif");
    Tiff { nodata: Some(255.0), ..Tiff::default() }.write(&source, |_, y, _| (y * 4 + 3) as u8);
    {
        let options = gdal::DatasetOptions {
            open_flags: gdal::GdalOpenFlags::GDAL_OF_UPDATE,
            ..gdal::DatasetOptions::default()
        };
        let dataset = Dataset::open_ex(&source, options).unwrap();
        let mut band = dataset.rasterband(1).unwrap();
        band.set_scale(0.004).unwrap();
        band.set_offset(-0.08).unwrap();
        band.set_description("NDVI").unwrap();
        dataset.close().unwrap();
    }
    let meta = shop.ingest(&shop.zip(&[("a.tif", &source)])).unwrap();
    let raster = &meta.rasters[0];
    let dataset = Dataset::open(raster_file(&shop.entry(), raster)).unwrap();
    let band = dataset.rasterband(1).unwrap();
    assert_eq!((band.scale(), band.offset()), (Some(0.004), Some(-0.08)));
    assert_eq!(band.description().unwrap(), "NDVI");
    let facts = &raster.bands[0];
    assert_eq!((facts.scale, facts.offset, facts.description.as_str()), (Some(0.004), Some(-0.08), "NDVI"));
    let statistics = facts.statistics.unwrap();
    assert_eq!((statistics.minimum, statistics.maximum), (3.0, 251.0));
    let text = |key: &str| band.metadata_item(key, "").unwrap().parse::<f64>().unwrap();
    assert_eq!(text("STATISTICS_MEAN"), statistics.mean);
    assert_eq!(text("STATISTICS_VALID_PERCENT"), statistics.valid_percent);
    assert!((statistics.valid_percent - 100.0 * 63.0 / 64.0).abs() < 1e-9);
}

/// A zstd tile as another writer would make it.
fn zstd_tile(pixels: &[u8], with_size: bool, with_checksum: bool) -> Vec<u8> {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
    encoder.include_checksum(with_checksum).unwrap();
    encoder.include_contentsize(with_size).unwrap();
    if with_size {
        encoder.set_pledged_src_size(Some(pixels.len() as u64)).unwrap();
    }
    encoder.write_all(pixels).unwrap();
    encoder.finish().unwrap()
}

/// Writes a TIFF of one row of tiles, the given zstd streams.
fn zstd_tiff(path: &Path, tiles: &[Vec<u8>]) {
    let level = grid::Level { width: 512 * tiles.len() as u32, height: 512 };
    let file = fs::OpenOptions::new().read(true).write(true).create_new(true).open(path).unwrap();
    let base = sink::TileSink::new(file, tiles.len());
    for (number, tile) in tiles.iter().enumerate() {
        base.append(tile, &[(number, tile.len() as u32)]).unwrap();
    }
    let directory = tiff::Directory {
        pixel: PixelType::UInt8,
        bands: vec![Default::default()],
        codec: Codec::Zstd { level: 3 },
        palette: Vec::new(),
        extra: Vec::new(),
    };
    assemble::assemble(path, &directory, &[level], base, Vec::new(), &mut |_| {}).unwrap();
}

#[test]
fn zstd_frames_without_size_or_checksum_are_not_copied() {
    let tile =
        |number: u64| -> Vec<u8> { (0..1u64 << 18).map(|i| (i * i / (number + 9) / 77) as u8).collect() };
    let pixels: Vec<Vec<u8>> = (0..20).map(tile).collect();
    let expected: Vec<u8> = (0..512)
        .flat_map(|row| pixels.iter().flat_map(move |tile| tile[row * 512..(row + 1) * 512].to_vec()))
        .collect();
    // (with size, with checksum) of tile 0 and of the last one, which is not looked at beforehand.
    for (first, last, copied) in [
        ((true, true), (true, true), true),
        ((true, true), (false, true), true),
        ((true, true), (true, false), true),
        ((false, true), (true, true), false),
        ((true, false), (true, true), false),
    ] {
        let streams: Vec<Vec<u8>> = pixels
            .iter()
            .enumerate()
            .map(|(number, pixels)| {
                let (size, checksum) = match number {
                    0 => first,
                    19 => last,
                    _ => (true, true),
                };
                zstd_tile(pixels, size, checksum)
            })
            .collect();
        let shop = Workshop::new();
        let source = shop.path("in/a.tif");
        zstd_tiff(&source, &streams);
        let meta = shop.ingest(&shop.zip(&[("a.tif", &source)])).unwrap();
        let path = raster_file(&shop.entry(), &meta.rasters[0]);
        check_raster(&shop.entry(), &meta.rasters[0], &expected);
        let bytes = fs::read(&path).unwrap();
        let dataset = Dataset::open(&path).unwrap();
        let band = dataset.rasterband(1).unwrap();
        for (number, stream) in streams.iter().enumerate() {
            let item = |key: &str| band.metadata_item(key, "TIFF").unwrap().parse::<usize>().unwrap();
            let (offset, size) =
                (item(&format!("BLOCK_OFFSET_{number}_0")), item(&format!("BLOCK_SIZE_{number}_0")));
            let frame = &bytes[offset..offset + size];
            assert!(frame[4] & 0xE0 != 0 && frame[4] & 0x04 != 0, "tile {number} of {first:?} {last:?}");
            let is_good = number != 19 || last == (true, true);
            assert_eq!(frame == stream.as_slice(), copied && is_good, "tile {number} of {first:?} {last:?}");
        }
    }
}
