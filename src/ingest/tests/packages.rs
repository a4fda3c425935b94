//! What else is in a package, and what happens when it is broken.

use super::*;
use crate::ingest::dbf;
use crate::store::entry::Class;

fn small_tiff(shop: &Workshop) -> PathBuf {
    let path = shop.path("in/small.tif");
    Tiff { nodata: Some(255.0), ..Tiff::default() }.write(&path, |_, y, x| (x / 16 + y / 32) as u8);
    path
}

#[test]
fn nested_packages_keep_their_side_files() {
    let shop = Workshop::new();
    let tiff = fs::read(small_tiff(&shop)).unwrap();
    let inner = zip_bytes(&[
        ("TCD_v1/DATA/TCD_v1.tif", tiff),
        ("TCD_v1/DATA/TCD_v1.tif.ovr", b"not a raster of its own".to_vec()),
        ("TCD_v1/Metadata/TCD_v1.xml", b"<xml/>".to_vec()),
        ("TCD_v1/Legend/été.txt", b"legend".to_vec()),
    ]);
    let outer = zip_bytes(&[("Results/TCD_v1.zip", inner)]);
    let package = shop.path("package.zip");
    fs::write(&package, outer).unwrap();
    let mut seen = Vec::new();
    let meta = ingest(&shop.job(&package), &mut |progress| seen.push(progress)).unwrap();
    let originals: Vec<(&str, u64)> =
        meta.originals.iter().map(|file| (file.path.as_str(), file.size)).collect();
    assert_eq!(
        originals,
        [("TCD_v1/DATA/TCD_v1.tif.ovr", 23), ("TCD_v1/Legend/été.txt", 6), ("TCD_v1/Metadata/TCD_v1.xml", 6)]
    );
    let kept = fs::read(shop.entry().join("original/TCD_v1/Legend/été.txt")).unwrap();
    assert_eq!(kept, b"legend");
    assert_eq!(meta.rasters[0].sources, ["TCD_v1/DATA/TCD_v1.tif"]);
    assert!(shop.entry().join("preview.png").is_file());
    // Nothing but the entry is left, and it describes itself.
    let left: Vec<String> = fs::read_dir(shop.entry().parent().unwrap())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(left, ["entry"]);
    let root: Value = serde_json::from_slice(&fs::read(shop.entry().join("zarr.json")).unwrap()).unwrap();
    let described: EntryMeta = serde_json::from_value(root["attributes"]["clmsfs"].clone()).unwrap();
    assert_eq!(described, meta);
    assert!(seen.iter().any(|progress| matches!(progress, IngestProgress::Extracting { .. })));
    let last = seen.iter().rfind(|progress| matches!(progress, IngestProgress::Converting { .. })).unwrap();
    let total = 64 * 64 + meta.originals.iter().map(|file| file.size).sum::<u64>();
    assert_eq!(*last, IngestProgress::Converting { done: total, total });
}

#[test]
fn classes_come_from_the_table_beside_the_raster() {
    let shop = Workshop::new();
    let tiff = small_tiff(&shop);
    let table = shop.path("in/vat");
    let rows = [vec!["0", "sea", "0"], vec!["1", "land", "255"], vec!["255", "outside", "1"]];
    fs::write(
        &table,
        dbf::tests::write(&[("Value", 'N', 9), ("Class_Name", 'C', 40), ("Red", 'N', 3)], &rows),
    )
    .unwrap();
    let colors = shop.path("in/clr");
    fs::write(&colors, "0 1 2 3\n1 4 5 6\n").unwrap();
    let package = shop.zip(&[("a/x.tif", &tiff), ("a/X.TIF.VAT.DBF", &table), ("a/x.clr", &colors)]);
    let meta = shop.ingest(&package).unwrap();
    let raster = &meta.rasters[0];
    assert!(raster.categorical);
    let class = |value, name: &str, color| Class { value, name: name.to_owned(), color };
    assert_eq!(
        raster.classes,
        [
            class(0, "sea", Some([1, 2, 3, 255])),
            class(1, "land", Some([4, 5, 6, 255])),
            class(255, "outside", None)
        ]
    );
}

#[test]
fn classes_come_from_an_attribute_table_of_gdal() {
    let shop = Workshop::new();
    let tiff = small_tiff(&shop);
    let aux = shop.path("in/aux");
    fs::write(
        &aux,
        r#"<PAMDataset><PAMRasterBand band="1"><GDALRasterAttributeTable>
        <FieldDefn index="0"><Name>Value</Name><Type>0</Type><Usage>5</Usage></FieldDefn>
        <FieldDefn index="1"><Name>LABEL3</Name><Type>2</Type><Usage>0</Usage></FieldDefn>
        <FieldDefn index="2"><Name>Red</Name><Type>0</Type><Usage>6</Usage></FieldDefn>
        <FieldDefn index="3"><Name>Green</Name><Type>0</Type><Usage>7</Usage></FieldDefn>
        <FieldDefn index="4"><Name>Blue</Name><Type>0</Type><Usage>8</Usage></FieldDefn>
        <Row index="0"><F>1</F><F>Continuous urban fabric</F><F>230</F><F>0</F><F>77</F></Row>
        </GDALRasterAttributeTable></PAMRasterBand></PAMDataset>"#,
    )
    .unwrap();
    let meta = shop.ingest(&shop.zip(&[("x.tif", &tiff), ("x.tif.aux.xml", &aux)])).unwrap();
    let classes = &meta.rasters[0].classes;
    assert_eq!(classes.len(), 1);
    assert_eq!(
        (classes[0].name.as_str(), classes[0].color),
        ("Continuous urban fabric", Some([230, 0, 77, 255]))
    );
}

#[test]
fn names_come_from_the_table_beside_the_raster_and_colors_from_that_of_gdal() {
    let shop = Workshop::new();
    let tiff = small_tiff(&shop);
    let aux = shop.path("in/aux");
    fs::write(
        &aux,
        r#"<PAMDataset><PAMRasterBand band="1"><GDALRasterAttributeTable>
        <FieldDefn index="0"><Name>Value</Name><Type>0</Type><Usage>5</Usage></FieldDefn>
        <FieldDefn index="1"><Name>Red</Name><Type>0</Type><Usage>6</Usage></FieldDefn>
        <FieldDefn index="2"><Name>Green</Name><Type>0</Type><Usage>7</Usage></FieldDefn>
        <FieldDefn index="3"><Name>Blue</Name><Type>0</Type><Usage>8</Usage></FieldDefn>
        <Row index="0"><F>0</F><F>1</F><F>2</F><F>3</F></Row>
        <Row index="1"><F>1</F><F>230</F><F>0</F><F>77</F></Row>
        <Row index="2"><F>2</F><F>9</F><F>9</F><F>9</F></Row>
        </GDALRasterAttributeTable></PAMRasterBand></PAMDataset>"#,
    )
    .unwrap();
    let table = shop.path("in/vat");
    let classes = |fields: &[(&str, char, u8)], rows: &[Vec<&str>]| -> Vec<(i64, String, Option<[u8; 4]>)> {
        fs::write(&table, dbf::tests::write(fields, rows)).unwrap();
        let package = shop.zip(&[("x.tif", &tiff), ("x.tif.aux.xml", &aux), ("x.tif.vat.dbf", &table)]);
        let found = shop.ingest(&package).unwrap().rasters.remove(0).classes;
        found.into_iter().map(|class| (class.value, class.name, class.color)).collect()
    };
    let named = classes(&[("Value", 'N', 4), ("Name", 'C', 9)], &[vec!["0", "sea"], vec!["1", "land"]]);
    let (sea, land) = (Some([1, 2, 3, 255]), Some([230, 0, 77, 255]));
    assert_eq!(named, [(0, "sea".to_owned(), sea), (1, "land".to_owned(), land)]);
    let counted = classes(&[("Value", 'N', 4), ("Count", 'N', 9)], &[vec!["0", "7"], vec!["1", "8"]]);
    assert_eq!(counted.iter().map(|class| class.2).collect::<Vec<_>>(), [sea, land, Some([9, 9, 9, 255])]);
}

#[test]
fn a_package_without_geodata_says_what_it_has() {
    let shop = Workshop::new();
    let file = shop.path("in/f");
    fs::write(&file, b"x").unwrap();
    let package = shop.zip(&[("a/u.csv", &file), ("a/b.xml", &file), ("a/c.xml", &file)]);
    let error = shop.ingest(&package).unwrap_err();
    let IngestError::NoGeodata { found } = &error else { panic!("{error}") };
    assert_eq!(found, "2 × .xml, 1 × .csv (e.g. 'a/b.xml')");
}

#[test]
fn a_broken_raster_is_named() {
    let shop = Workshop::new();
    let source = shop.path("in/a.tif");
    let options = ["COMPRESS=DEFLATE", "TILED=YES", "BLOCKXSIZE=256", "BLOCKYSIZE=256"];
    let tiff = Tiff { size: (3000, 3000), options: &options, ..Tiff::default() };
    tiff.write(&source, |_, y, x| (x * y % 251) as u8);
    let mut bytes = fs::read(&source).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 4000].fill(0xA5);
    fs::write(&source, bytes).unwrap();
    let error = shop.ingest(&shop.zip(&[("d/a.tif", &source)])).unwrap_err();
    assert!(matches!(&error, IngestError::Raster { name, .. } if name == "d/a.tif"), "{error}");
    // A text that calls itself a TIFF.
    fs::write(&source, b"hello").unwrap();
    let error = shop.ingest(&shop.zip(&[("d/b.tif", &source)])).unwrap_err();
    assert!(matches!(&error, IngestError::Raster { name, .. } if name == "d/b.tif"), "{error}");
}

#[test]
fn a_vrt_in_disguise_is_not_followed() {
    let shop = Workshop::new();
    let tiff = small_tiff(&shop);
    let fake = shop.path("in/fake.tif");
    let vrt = format!(
        "<VRTDataset rasterXSize=\"64\" rasterYSize=\"64\"><VRTRasterBand dataType=\"Byte\" band=\"1\"><SimpleSource>\
         <SourceFilename>{}</SourceFilename><SourceBand>1</SourceBand></SimpleSource></VRTRasterBand></VRTDataset>",
        tiff.display()
    );
    fs::write(&fake, vrt).unwrap();
    let error = shop.ingest(&shop.zip(&[("a.tif", &fake)])).unwrap_err();
    assert!(matches!(error, IngestError::Raster { .. }), "{error}");
}

#[test]
fn job_names_are_checked() {
    let shop = Workshop::new();
    let package = shop.path("p.zip");
    for product in ["", "..", "a/b", "a\0b", "a\nb"] {
        let job = IngestJob { product: product.to_owned(), ..shop.job(&package) };
        assert!(matches!(ingest(&job, &mut |_| {}), Err(IngestError::Job { .. })), "{product:?}");
    }
}

#[test]
fn errors_survive_json() {
    let error = IngestError::Disk {
        action: "write".to_owned(),
        reason: "full".to_owned(),
        errno: Some(libc::ENOSPC),
    };
    let back: IngestError = serde_json::from_str(&serde_json::to_string(&error).unwrap()).unwrap();
    assert_eq!(back, error);
}

#[test]
fn a_small_overseas_raster_does_not_take_the_products_name() {
    // CLC 2018: `DATA/French_DOMs/…` comes before `DATA/U2018…` by path, but is not the product.
    let shop = Workshop::new();
    let names = ["U2018_CLC2018_V2020_20u1", "French_DOMs/U2018_CLC2018_V2020_20u1_FR_REU", "A_CONF"];
    let sizes = [(700, 600), (300, 200), (700, 600)];
    let sources: Vec<(String, PathBuf)> = names
        .iter()
        .zip(sizes)
        .map(|(name, size)| {
            let path = shop.path(&format!("in/{name}.tif"));
            Tiff { size, ..Tiff::default() }.write(&path, |_, y, x| (x + y * size.0) as u16);
            (format!("DATA/{name}.tif"), path)
        })
        .collect();
    let members: Vec<(&str, &Path)> =
        sources.iter().map(|(name, path)| (name.as_str(), path.as_path())).collect();
    let meta = shop.ingest(&shop.zip(&members)).unwrap();
    let found: Vec<(&str, u32)> = meta.rasters.iter().map(|r| (r.name.as_str(), r.width)).collect();
    let expected = [("PRODUCT", 700), ("A_CONF", 700), ("U2018_CLC2018_V2020_20u1_FR_REU", 300)];
    assert_eq!(found, expected);
    assert_eq!(meta.rasters[0].sources, ["DATA/U2018_CLC2018_V2020_20u1.tif"]);
}

/// Real blocks of all files below a folder; what vanishes meanwhile counts as nothing.
fn blocks(path: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let Ok(metadata) = fs::symlink_metadata(path) else { return 0 };
    let below = metadata.is_dir().then(|| fs::read_dir(path).ok()).flatten();
    let below: u64 = below.into_iter().flatten().flatten().map(|child| blocks(&child.path())).sum();
    below + if metadata.is_file() { metadata.blocks() * 512 } else { 0 }
}

/// Converts a package of noise in consume mode; gives the most blocks it ever held, and the largest of
/// package, source and entry.
fn consume(options: &[&str], pack: impl Fn(Vec<u8>) -> Vec<u8>) -> (u64, u64) {
    let shop = Workshop::new();
    let source = shop.path("in/a.tif");
    let mut state = 1u32;
    let noise: Vec<u8> = (0..4500 * 4500)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .collect();
    let tiff = Tiff { size: (4500, 4500), options, ..Tiff::default() };
    let expected = tiff.write(&source, |_, y, x| noise[y * 4500 + x]);
    let package = shop.path("package.consumed");
    let bytes = pack(zip_bytes(&[("a/a.tif", fs::read(&source).unwrap()), ("a/a.txt", vec![7; 100_000])]));
    fs::write(&package, &bytes).unwrap();
    let mut largest = (bytes.len() as u64).max(blocks(&source));
    let job = IngestJob { consume: true, ..shop.job(&package) };
    let mut most = 0;
    let meta = ingest(&job, &mut |_| most = most.max(blocks(&job.staging) + blocks(&package))).unwrap();
    assert_eq!(blocks(&package), 0, "nothing is left of the package");
    largest = largest.max(blocks(&shop.entry()));
    check_raster(&shop.entry(), &meta.rasters[0], &expected);
    assert_eq!(fs::read(shop.entry().join("original/a/a.txt")).unwrap(), vec![7; 100_000]);
    (most, largest)
}

#[test]
fn consuming_needs_little_more_room_than_the_product() {
    let tiled = ["TILED=YES", "BLOCKXSIZE=512", "BLOCKYSIZE=512", "COMPRESS=DEFLATE"];
    let nested = |inner: Vec<u8>| zip_bytes(&[("Results/a.zip", inner)]);
    let cases: [(&str, (u64, u64)); 5] = [
        ("strips", consume(&["COMPRESS=LZW"], |zip| zip)),
        ("strips in a nested zip", consume(&["COMPRESS=LZW"], nested)),
        ("tiles", consume(&["COMPRESS=LZW", "TILED=YES"], nested)),
        ("tiles that are copied", consume(&tiled, nested)),
        ("big-endian", consume(&["COMPRESS=LZW", "TILED=YES", "ENDIANNESS=BIG"], nested)),
    ];
    for (name, (most, largest)) in cases {
        let percent = most * 100 / largest;
        println!("{name}: {} KiB at most, {percent} % of the largest", most >> 10);
        // Where the blocks are not known, the source stays until the end.
        let share = if name == "big-endian" { 240 } else { 150 };
        assert!(most <= largest / 100 * share + (4 << 20), "{name}: {most} of {largest}, {percent} %");
    }
}
