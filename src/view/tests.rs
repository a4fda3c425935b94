//! Views are written into real directories and opened by independent readers: zarrs and the system's GDAL.
//!
//! `CLMSFS_TEST_EXPORT=<directory>` keeps them there, for readers that are no crates (xarray, rasterio, terra …).

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;

use super::export::export;
use super::*;
use crate::store::entry::*;
use crate::store::fixture;
use crate::store::vector::{VectorFormat, VectorMeta};

/// An exported view and the entry it was made from.
struct Sample {
    meta: EntryMeta,
    view: EntryView,
    /// The product's directory.
    product: PathBuf,
    _entry: tempfile::TempDir,
    _kept: tempfile::TempDir,
}

impl Sample {
    fn new(meta: EntryMeta) -> Self {
        let (entry, kept) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fixture::write_entry(entry.path(), &meta);
        std::fs::write(entry.path().join("preview.png"), b"png").unwrap();
        let view = EntryView::open(entry.path()).unwrap();
        let parent = std::env::var_os("CLMSFS_TEST_EXPORT").map_or(kept.path().to_owned(), PathBuf::from);
        let product = parent.join(&meta.product);
        export(&view, &product);
        Self { meta, view, product, _entry: entry, _kept: kept }
    }

    fn of(product: &str, raster: RasterMeta) -> Self {
        Self::new(fixture::meta(product, vec![raster]))
    }

    fn file(&self, suffix: &str) -> PathBuf {
        self.product.join(format!("{}{suffix}", self.meta.product))
    }
}

fn nodata(value: f64, raster: RasterMeta) -> RasterMeta {
    RasterMeta { nodata: Some(Number(value)), ..raster }
}

/// Bands that are days.
fn dates(raster: RasterMeta) -> RasterMeta {
    let times =
        (0..raster.bands.len() as i64).map(|day| Timestamp::from_second((18_628 + day) * 86_400).unwrap());
    RasterMeta { times: times.collect(), ..raster }
}

/// One sample for each way in which rasters differ.
fn samples() -> Vec<Sample> {
    let band = BandMeta {
        description: "soil water".into(),
        unit: "%".into(),
        scale: Some(0.5),
        offset: Some(10.0),
        ..BandMeta::default()
    };
    let zlib = |raster| RasterMeta { codec: Codec::Zlib { level: 6 }, ..raster };
    let bands = |count, raster| RasterMeta { bands: vec![band.clone(); count], ..raster };
    let geographic = fixture::geographic(fixture::raster("r", PixelType::UInt8, 900, 600));
    // A CRS without a code is given as WKT; the .tif of this fixture names the code all the same.
    let mut own_crs = nodata(255.0, fixture::raster("r", PixelType::UInt8, 900, 600));
    if let Some(crs) = own_crs.crs.as_mut() {
        crs.epsg = None;
    }
    vec![
        Sample::of("classes", fixture::classes("r", 1100, 700)),
        Sample::of("int8", nodata(-128.0, fixture::raster("r", PixelType::Int8, 1100, 700))),
        Sample::of("plain", fixture::raster("r", PixelType::UInt8, 1100, 700)),
        Sample::of("plain_zlib", zlib(fixture::raster("r", PixelType::UInt16, 1100, 700))),
        Sample::of("float_nan", nodata(f64::NAN, zlib(fixture::raster("r", PixelType::Float32, 1100, 700)))),
        Sample::of("float_9999", nodata(-9999.0, fixture::raster("r", PixelType::Float64, 1100, 700))),
        Sample::of("scaled", nodata(-9999.0, bands(1, fixture::raster("r", PixelType::Int16, 1100, 700)))),
        Sample::of("geographic", nodata(255.0, geographic)),
        Sample::of("own_crs", own_crs),
        Sample::of("bands", nodata(-9999.0, bands(3, fixture::raster("r", PixelType::Int16, 1100, 700)))),
        Sample::of("dates", dates(bands(3, fixture::raster("r", PixelType::UInt8, 1100, 700)))),
    ]
}

/// Whether two pixels are the same, NaN included.
fn same(one: f64, other: f64) -> bool {
    one == other || (one.is_nan() && other.is_nan())
}

#[test]
fn zarrs_reads_every_pixel_of_every_level() {
    for sample in samples() {
        let raster = &sample.meta.rasters[0];
        let store = Arc::new(zarrs::filesystem::FilesystemStore::new(sample.file(".zarr")).unwrap());
        let overviews = raster.overviews.iter().map(|overview| overview.factor);
        let names = overviews.map(|factor| (factor, format!("/ovr_{factor}x/band")));
        for (factor, name) in std::iter::once((1, String::from("/band"))).chain(names) {
            let array = zarrs::array::Array::open(store.clone(), &name).unwrap();
            let (width, height) = (raster.width.div_ceil(factor), raster.height.div_ceil(factor));
            let shape = array.shape().to_vec();
            assert_eq!(shape[shape.len() - 2..], [u64::from(height), u64::from(width)]);
            let all = array.subset_all();
            let pixels: Vec<f64> = match raster.pixel {
                PixelType::Int8 => widen(array.retrieve_array_subset::<Vec<i8>>(&all).unwrap()),
                PixelType::UInt8 => widen(array.retrieve_array_subset::<Vec<u8>>(&all).unwrap()),
                PixelType::Int16 => widen(array.retrieve_array_subset::<Vec<i16>>(&all).unwrap()),
                PixelType::UInt16 => widen(array.retrieve_array_subset::<Vec<u16>>(&all).unwrap()),
                PixelType::Float32 => widen(array.retrieve_array_subset::<Vec<f32>>(&all).unwrap()),
                PixelType::Float64 => array.retrieve_array_subset::<Vec<f64>>(&all).unwrap(),
                other => panic!("no sample has {other:?}"),
            };
            let mut expected = vec![];
            for band in 0..raster.bands.len() {
                for y in 0..height {
                    expected.extend((0..width).map(|x| fixture::value(raster, band, x * factor, y * factor)));
                }
            }
            assert_eq!(pixels.len(), expected.len());
            let wrong = pixels.iter().zip(&expected).filter(|(one, other)| !same(**one, **other)).count();
            assert_eq!(wrong, 0, "{} {name}", sample.meta.product);
        }
        let [x0, dx, _, y0, _, dy] = raster.geotransform;
        for (name, length, corner, step) in [("/x", raster.width, x0, dx), ("/y", raster.height, y0, dy)] {
            let array = zarrs::array::Array::open(store.clone(), name).unwrap();
            let centres: Vec<f64> = array.retrieve_array_subset(&array.subset_all()).unwrap();
            let expected: Vec<f64> =
                (0..length).map(|index| corner + step * (f64::from(index) + 0.5)).collect();
            assert_eq!(centres, expected);
        }
    }
}

fn widen<T: Into<f64>>(pixels: Vec<T>) -> Vec<f64> {
    pixels.into_iter().map(Into::into).collect()
}

/// Opens a raster with the system's GDAL and checks everything a reader of one raster needs.
fn check_with_gdal(path: &Path, raster: &RasterMeta) {
    let name = path.display();
    let dataset = gdal::Dataset::open(path).unwrap();
    assert_eq!(dataset.raster_size(), (raster.width as usize, raster.height as usize), "{name}");
    assert_eq!(dataset.geo_transform().unwrap(), raster.geotransform, "{name}");
    let code = if raster.crs.as_ref().unwrap().projected { 3035 } else { 4326 };
    assert_eq!(dataset.spatial_ref().unwrap().auth_code().unwrap(), code, "{name}");
    let band = dataset.rasterband(1).unwrap();
    match (band.no_data_value(), raster.nodata) {
        (Some(found), Some(expected)) => assert!(same(found, expected.0), "{name}: nodata {found}"),
        (found, expected) => assert_eq!(found, expected.map(|nodata| nodata.0), "{name}"),
    }
    let (width, height) = (raster.width as usize, raster.height as usize);
    let pixels = band.read_as::<f64>((0, 0), (width, height), (width, height), None).unwrap();
    let wrong = (0..width * height)
        .filter(|index| {
            let (x, y) = ((index % width) as u32, (index / width) as u32);
            !same(pixels.data()[*index], fixture::value(raster, 0, x, y))
        })
        .count();
    assert_eq!(wrong, 0, "{name}: wrong pixels");
}

#[test]
fn the_systems_gdal_opens_both_views() {
    let has_zarr = gdal::DriverManager::get_driver_by_name("Zarr").is_ok();
    if !has_zarr {
        println!("SKIPPED for .zarr: this GDAL has no Zarr driver");
    }
    for sample in samples() {
        let raster = &sample.meta.rasters[0];
        // GDAL 3.6 reads Int8 in Zarr as Int16, but in GeoTIFF as unsigned bytes.
        if raster.pixel != PixelType::Int8 {
            check_with_gdal(&sample.file(".tif"), raster);
        }
        if has_zarr {
            // Planes are subdatasets to GDAL before 3.8.
            let path = match raster.bands.len() {
                1 => sample.file(".zarr"),
                _ => PathBuf::from(format!("ZARR:\"{}\":/band:0", sample.file(".zarr").display())),
            };
            check_with_gdal(&path, raster);
        }
    }
}

#[test]
fn gdal_takes_class_names_and_colours_from_the_side_file() {
    let mut raster = fixture::classes("r", 600, 600);
    raster.classes[0].name = "<Water & \"ice\">".into();
    raster.classes.push(Class { value: 200, name: "Außerhalb".into(), color: None });
    let sample = Sample::of("side_file", raster);
    let dataset = gdal::Dataset::open(sample.file(".tif")).unwrap();
    let band = dataset.rasterband(1).unwrap();
    // SAFETY: the band lives as long as `band`; the table and its strings belong to the band and are copied here.
    let (size, text) = unsafe {
        let table = gdal_sys::GDALGetDefaultRAT(band.c_rasterband());
        assert!(!table.is_null());
        let text = |row, column| {
            let text = gdal_sys::GDALRATGetValueAsString(table, row, column);
            std::ffi::CStr::from_ptr(text).to_str().unwrap().to_owned()
        };
        let rows: Vec<Vec<String>> =
            (0..4).map(|row| (0..6).map(|column| text(row, column)).collect()).collect();
        ((gdal_sys::GDALRATGetRowCount(table), gdal_sys::GDALRATGetColumnCount(table)), rows)
    };
    assert_eq!(size, (4, 6));
    assert_eq!(text[0], ["0", "<Water & \"ice\">", "240", "240", "240", "255"]);
    assert_eq!(text[1], ["1", "Broadleaved trees", "70", "158", "74", "255"]);
    assert_eq!(text[3], ["200", "Außerhalb", "0", "0", "0", "0"]);
}

#[test]
fn gdal_takes_colours_of_classes_for_a_palette_where_the_raster_has_none() {
    let colored = fixture::classes("r", 600, 600);
    assert!(colored.palette.is_empty() && colored.classes.iter().all(|class| class.color.is_some()));
    let table = |raster: RasterMeta| {
        // GDAL reads the side file late.
        let sample = Sample::of("colours", raster);
        let dataset = gdal::Dataset::open(sample.file(".tif")).unwrap();
        let band = dataset.rasterband(1).unwrap();
        let table = band.color_table()?;
        let entries = (0..table.entry_count()).filter_map(|value| table.entry_as_rgb(value));
        Some(entries.map(|entry| [entry.r, entry.g, entry.b, entry.a]).collect::<Vec<_>>())
    };
    let mut gap = colored.clone();
    gap.classes.remove(1);
    let [none, first, third] = [[0; 4], [240, 240, 240, 255], [28, 92, 36, 255]];
    assert_eq!(table(gap).unwrap(), [first, none, third]);
    let mut half = colored.clone();
    half.classes[1].color = None;
    assert_eq!(table(half), None);
    let mut own = colored;
    own.palette = vec![[1, 2, 3, 255]; 3];
    let view = Sample::of("own", own);
    let side = std::fs::read_to_string(view.file(".tif.aux.xml")).unwrap();
    assert!(!side.contains("<ColorTable>"), "the .tif has its own");
}

#[test]
fn a_view_has_the_files_of_the_contract() {
    let mut meta = fixture::meta("P", vec![fixture::classes("value", 1100, 700)]);
    meta.rasters.push(fixture::raster("confidence", PixelType::UInt8, 300, 200));
    meta.originals = ["Metadata/a.xml", "Metadata.txt", "Metadata/b/c.xml", "readme.pdf"]
        .map(|path| SideFile { path: path.into(), size: 5, sha256: None })
        .to_vec();
    let sample = Sample::new(meta);
    let names = |path: &str| -> Vec<String> {
        let listed = sample.view.list(path).unwrap().unwrap();
        listed
            .iter()
            .map(|listed| if listed.is_dir { format!("{}/", listed.name) } else { listed.name.to_string() })
            .collect()
    };
    assert_eq!(
        names(""),
        [
            "P.tif",
            "P.tif.aux.xml",
            "P.zarr/",
            "confidence.tif",
            "confidence.zarr/",
            "preview.png",
            "original/"
        ]
    );
    assert_eq!(
        names("P.zarr"),
        [
            ".zgroup",
            ".zattrs",
            ".zmetadata",
            "zarr.json",
            "band/",
            "x/",
            "y/",
            "spatial_ref/",
            "ovr_2x/",
            "ovr_4x/"
        ]
    );
    assert_eq!(names("P.zarr/band"), [".zarray", ".zattrs", "zarr.json", "0/", "1/"]);
    // (x + y) % 3 == 2 is missing; the other raster has no nodata, and so no missing chunk.
    assert_eq!(names("P.zarr/band/0"), ["0", "1"]);
    assert_eq!(names("P.zarr/ovr_2x"), ["zarr.json", "band/", "x/", "y/", "spatial_ref/"]);
    assert_eq!(names("P.zarr/ovr_2x/band/0"), ["0", "1"]);
    assert_eq!(names("P.zarr/x"), [".zarray", ".zattrs", "zarr.json", "0"]);
    assert_eq!(names("P.zarr/spatial_ref"), ["zarr.json", "0"]);
    assert_eq!(names("confidence.zarr/band/0"), ["0"]);
    assert_eq!(names("original"), ["Metadata/", "Metadata.txt", "readme.pdf"]);
    assert_eq!(names("original/Metadata"), ["a.xml", "b/"]);
    for cold in cold_raster_names() {
        assert!(sample.view.node(&cold.path("P")).unwrap().is_some(), "{}", cold.suffix);
    }
}

#[test]
fn vector_data_has_its_names_and_is_one_file_with_its_original() {
    let mut meta = fixture::meta("P", vec![]);
    let vector = |format, path: &str| VectorMeta { format, path: path.into(), layers: vec![] };
    meta.vectors = vec![
        vector(VectorFormat::GeoPackage, "D/a.gpkg"),
        vector(VectorFormat::GeoPackage, "D/b.gpkg"),
        vector(VectorFormat::FileGdb, "D/c.gdb"),
        vector(VectorFormat::Shapefile, "D/d.SHP"),
    ];
    meta.originals = [
        "D/a.gpkg",
        "D/b.gpkg",
        "D/c.gdb/a00000001.gdbtable",
        "D/c.gdb/gdb",
        "D/d.DBF",
        "D/d.SHP",
        "D/d.xml",
    ]
    .map(|path| SideFile { path: path.into(), size: 5, sha256: None })
    .to_vec();
    let dir = tempfile::tempdir().unwrap();
    fixture::write_entry(dir.path(), &meta);
    let view = EntryView::open(dir.path()).unwrap();
    let names = |path: &str| -> Vec<String> {
        view.list(path).unwrap().unwrap().iter().map(|listed| listed.name.to_string()).collect()
    };
    assert_eq!(names(""), ["P.dbf", "P.gdb", "P.gpkg", "P.shp", "b.gpkg", "original"]);
    assert_eq!(names("P.gdb"), ["a00000001.gdbtable", "gdb"]);
    export(&view, &dir.path().join("exported"));
    for (served, original) in [
        ("P.gpkg", "D/a.gpkg"),
        ("b.gpkg", "D/b.gpkg"),
        ("P.gdb/gdb", "D/c.gdb/gdb"),
        ("P.shp", "D/d.SHP"),
        ("P.dbf", "D/d.DBF"),
    ] {
        let place = |path: &str| match view.node(path).unwrap() {
            Some(Node::File(ViewFile { content: Content::Whole(place), .. })) => place,
            other => panic!("{path}: {other:?}"),
        };
        assert_eq!(place(served), place(&format!("original/{original}")));
    }
    for path in ["a.gpkg", "P.GPKG", "P.gdb/gd", "P.gdb/gdb/", "P.gd", "P.shx", "P.xml", "P.tif", "P.zarr"] {
        assert!(view.node(path).unwrap().is_none(), "'{path}' is there");
        assert!(view.list(path).unwrap().is_none(), "'{path}' is listed");
    }
    assert!(view.list("P.gpkg").unwrap().is_none(), "a file is no directory");
}

#[test]
fn other_paths_are_nothing() {
    let sample = Sample::of("P", fixture::classes("r", 1100, 700));
    for path in [
        "/",
        "Q.tif",
        "r.tif",
        "P",
        "P.tif/",
        "P.zarrr",
        "P.zarr/bands",
        "P.zarr/band/",
        "P.zarr/band/2",
        "P.zarr/band/00",
        "P.zarr/band/+1",
        "P.zarr/band/0/2",
        "P.zarr/band/0/3",
        "P.zarr/band/0/01",
        "P.zarr/band/0/0/0",
        "P.zarr/band/0/",
        "P.zarr/band/4294967296",
        "P.zarr/band/zarr.jso",
        "P.zarr/ovr_2x/.zgroup",
        "P.zarr/ovr_2x/band/.zarray",
        "P.zarr/ovr_2xband",
        "P.zarr/ovr_8x",
        "P.zarr/ovr_",
        "P.zarr/x/1",
        "P.zarr/spatial_ref/.zarray",
        "original",
        "original/../zarr.json",
        "zarr.json",
    ] {
        assert!(sample.view.node(path).unwrap().is_none(), "'{path}' is there");
        assert!(sample.view.list(path).unwrap().is_none(), "'{path}' is listed");
    }
}

#[test]
fn missing_chunks_mean_nodata_or_are_shown_as_zeros() {
    let with = Sample::of("with", fixture::classes("r", 1100, 700));
    assert!(with.view.node("with.zarr/band/0/2").unwrap().is_none());
    for codec in [Codec::Zstd { level: 1 }, Codec::Zlib { level: 6 }] {
        let raster = RasterMeta { codec, ..fixture::raster("r", PixelType::UInt16, 1100, 700) };
        let without = Sample::of("without", raster);
        let Some(Node::File(file)) = without.view.node("without.zarr/band/0/2").unwrap() else {
            panic!("the chunk of zeros is missing")
        };
        let mut bytes = vec![0; file.size as usize];
        file.read_at(&mut bytes, 0).unwrap();
        let decoded = match codec {
            Codec::Zstd { .. } => zstd::stream::decode_all(bytes.as_slice()).unwrap(),
            Codec::Zlib { .. } => {
                let mut out = vec![1; 512 * 512 * 2];
                libdeflater::Decompressor::new().zlib_decompress(&bytes, &mut out).unwrap();
                out
            }
        };
        assert_eq!(decoded, vec![0; 512 * 512 * 2]);
    }
}

#[test]
fn a_chunk_is_a_slice_of_the_tif() {
    let sample = Sample::of("P", fixture::classes("r", 1100, 700));
    let Some(Node::File(chunk)) = sample.view.node("P.zarr/band/1/0").unwrap() else { panic!("no chunk") };
    let Some(Node::File(tif)) = sample.view.node("P.tif").unwrap() else { panic!("no tif") };
    let Content::Slice { offset, length, .. } = chunk.content else { panic!("a chunk in memory") };
    assert!(matches!(tif.content, Content::Whole(_)));
    let (mut of_chunk, mut of_tif) = (vec![0; length as usize + 10], vec![0; length as usize]);
    assert_eq!(chunk.read_at(&mut of_chunk, 0).unwrap() as u64, length);
    assert_eq!(tif.read_at(&mut of_tif, offset).unwrap() as u64, length);
    assert_eq!(of_chunk[..length as usize], of_tif);
    // Reads beyond the end are short, never the next tile's bytes.
    assert_eq!(chunk.read_at(&mut of_chunk, length - 3).unwrap(), 3);
    assert_eq!(chunk.read_at(&mut of_chunk, length).unwrap(), 0);
    assert_eq!(chunk.read_at(&mut of_chunk, u64::MAX).unwrap(), 0);
}

#[test]
fn a_damaged_table_is_an_error_and_never_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let meta = fixture::meta("P", vec![fixture::classes("r", 1100, 700)]);
    fixture::write_entry(dir.path(), &meta);
    let path = crate::store::entry_dir::raster_path(dir.path(), &meta.rasters[0]);
    let bytes = std::fs::read(&path).unwrap();
    // Tables stay whole, the tiles of the full resolution do not.
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let view = EntryView::open(dir.path()).unwrap();
    assert!(view.node("P.zarr/band/1/2").is_err() || view.node("P.zarr/band/1/0").is_err());
    assert!(view.list("P.zarr/band/1").is_err());
}

#[test]
fn views_are_shared_between_threads() {
    fn shared<T: Send + Sync + 'static>() {}
    shared::<EntryView>();
}

#[test]
fn bands_that_are_dates_have_a_coordinate_in_every_level() {
    let samples = samples();
    let sample = samples.iter().find(|sample| sample.meta.product == "dates").unwrap();
    let store = Arc::new(zarrs::filesystem::FilesystemStore::new(sample.file(".zarr")).unwrap());
    for prefix in ["", "/ovr_2x", "/ovr_4x"] {
        let time = zarrs::array::Array::open(store.clone(), &format!("{prefix}/time")).unwrap();
        let days: Vec<i64> = time.retrieve_array_subset(&time.subset_all()).unwrap();
        assert_eq!(days, [18_628, 18_629, 18_630]);
        assert_eq!(time.attributes()["units"], "days since 1970-01-01");
        let band = zarrs::array::Array::open(store.clone(), &format!("{prefix}/band")).unwrap();
        let names: Vec<Option<&str>> =
            band.dimension_names().as_ref().unwrap().iter().map(|name| name.as_deref()).collect();
        assert_eq!(names, [Some("time"), Some("y"), Some("x")]);
    }
    let listed = |path: &str| sample.view.list(path).unwrap().unwrap();
    let names: Vec<String> =
        listed("dates.zarr/time").into_iter().map(|listed| listed.name.into_owned()).collect();
    assert_eq!(names, [".zarray", ".zattrs", "zarr.json", "0"]);
    assert!(listed("dates.zarr").iter().any(|listed| listed.name == "time" && listed.is_dir));
    let bands = samples.iter().find(|sample| sample.meta.product == "bands").unwrap();
    assert!(bands.view.node("bands.zarr/time").unwrap().is_none());
    assert!(bands.view.node("bands.zarr/time/0").unwrap().is_none());
}
