//! Vector data is served as it was delivered: a cold `ogrinfo <product>.gpkg` fetches and works.

use std::path::{Path, PathBuf};

use crate::support::packages::{Pixels, real_package};
use crate::support::process::{Reader, run};
use crate::support::vectors::{assert_same_bytes, files, make, names, ogrinfo, pack};
use crate::support::{Mount, Package, Simulator, Stage, wait};

const QUICK: &str = "queued = '20ms'\nrunning = '20ms'";

/// A mount of a service whose products are the folders below `sources`.
struct Scene {
    mount: Mount,
    simulator: Simulator,
    sources: PathBuf,
    _stage: Stage,
}

impl Scene {
    /// `make` puts a folder for each product below the folder it is given.
    fn new(make: impl FnOnce(&Path)) -> Option<Self> {
        Self::with_records(&[], make)
    }

    /// The same, with what the records of some products say: fields of their JSON.
    fn with_records(records: &[(&str, &str)], make: impl FnOnce(&Path)) -> Option<Self> {
        let stage = Stage::shared()?;
        let sources = stage.folder().join("sources");
        std::fs::create_dir(&sources).unwrap();
        make(&sources);
        for product in names(&sources) {
            let product = product.trim_end_matches('/');
            pack(&stage.data(), product, &sources.join(product));
        }
        for (product, fields) in records {
            std::fs::write(stage.data().join(format!("{product}.json")), fields).unwrap();
        }
        let simulator = stage.simulator(QUICK);
        let mount = stage.mount(&simulator).start();
        Some(Self { mount, simulator, sources, _stage: stage })
    }

    /// A file of a product's folder in the mount.
    #[track_caller]
    fn served(&self, product: &str, path: &str) -> PathBuf {
        self.mount.product(product).join(path)
    }

    fn source(&self, product: &str, path: &str) -> PathBuf {
        self.sources.join(product).join(path)
    }

    /// `original/` has every file of the package and no other, byte for byte.
    #[track_caller]
    fn assert_originals(&self, product: &str) {
        let kept = self.served(product, &format!("original/{product}"));
        let told = |folder: &Path| files(folder).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        assert_eq!(told(&kept), told(&self.sources.join(product)));
        for (name, source) in files(&self.sources.join(product)) {
            assert_same_bytes(&kept.join(name), &source);
        }
    }

    /// The one order that everything of a product costs.
    #[track_caller]
    fn assert_one_order(&self, product: &str) {
        let requests = self.simulator.requests();
        assert_eq!((requests.posts(product), requests.downloads(product)), (1, 1));
    }
}

#[track_caller]
fn assert_gone(path: &Path) {
    let error = std::fs::File::open(path).expect_err("it opened");
    assert_eq!(error.raw_os_error(), Some(libc::ENOENT), "{}: {error}", path.display());
}

#[test]
fn a_cold_geopackage_opens_in_ogrinfo() {
    let Some(scene) = Scene::new(|sources| {
        make(&sources.join("atlas/Data/city.gpkg"), "GPKG", &[("lclu", 1500), ("boundary", 1)]);
        std::fs::create_dir(sources.join("atlas/Metadata")).unwrap();
        std::fs::write(sources.join("atlas/Metadata/city.xml"), "<xml/>").unwrap();
    }) else {
        return;
    };
    let (served, source) = (scene.served("atlas", "atlas.gpkg"), scene.source("atlas", "Data/city.gpkg"));
    assert_eq!(std::fs::metadata(&served).unwrap().len(), 0, "cold files have size 0");
    let told = ogrinfo(&served, &["-so", "-al"]);
    assert!(told.contains("Feature Count: 1500") && told.contains("Extent: (4321000"), "{told}");
    assert_eq!(told, ogrinfo(&source, &["-so", "-al"]));
    assert_eq!(ogrinfo(&served, &["-ro", "-al"]), ogrinfo(&source, &["-ro", "-al"]), "every feature");
    run("cmp", &[&served, &source]).success();
    scene.assert_originals("atlas");
    assert_eq!(names(&scene.mount.product("atlas")), ["atlas.gpkg", "item.json", "original/"]);
    scene.assert_one_order("atlas");
}

#[test]
fn a_cold_file_geodatabase_opens_in_ogrinfo() {
    let Some(scene) = Scene::new(|sources| {
        let layers: Vec<String> = (0..20).map(|number| format!("layer{number}")).collect();
        let layers: Vec<(&str, usize)> = layers.iter().map(|name| (name.as_str(), 700)).collect();
        make(&sources.join("clc_fgdb/DATA/U2018.gdb"), "OpenFileGDB", &layers);
        make(&sources.join("other_fgdb/DATA/U2018.gdb"), "OpenFileGDB", &[("one", 3)]);
    }) else {
        return;
    };
    let (served, source) =
        (scene.served("clc_fgdb", "clc_fgdb.gdb"), scene.source("clc_fgdb", "DATA/U2018.gdb"));
    let mut cold = vec!["gdb".to_owned(), "timestamps".to_owned()];
    for table in 1..=64 {
        cold.extend(["gdbtable", "gdbtablx"].map(|kind| format!("a{table:08x}.{kind}")));
    }
    cold.sort();
    assert_eq!(names(&served), cold);
    assert_eq!(names(&scene.mount.product("clc_fgdb")), ["clc_fgdb.gdb/", "item.json"]);

    let told = ogrinfo(&served, &["-so", "-al"]);
    assert_eq!(told.matches("Feature Count: 700").count(), 20, "GDAL misses layers: {told}");
    assert_eq!(told, ogrinfo(&source, &["-so", "-al"]));
    assert_eq!(ogrinfo(&served, &["-ro", "-al"]), ogrinfo(&source, &["-ro", "-al"]));
    assert_eq!(names(&served), names(&source), "ready: the real files and no other");
    for (name, path) in files(&source) {
        assert_same_bytes(&served.join(name), &path);
    }
    scene.assert_originals("clc_fgdb");
    scene.assert_one_order("clc_fgdb");

    // All names opened at once: one order, and a clear answer to each.
    let folder = scene.served("other_fgdb", "other_fgdb.gdb");
    let source = scene.source("other_fgdb", "DATA/U2018.gdb");
    std::thread::scope(|scope| {
        for name in &cold {
            let (folder, source) = (&folder, &source);
            scope.spawn(move || {
                if source.join(name).exists() {
                    assert_same_bytes(&folder.join(name), &source.join(name));
                } else {
                    assert_gone(&folder.join(name));
                }
            });
        }
    });
    assert!(cold.iter().any(|name| !source.join(name).exists()), "one of the names was only a guess");
    scene.assert_one_order("other_fgdb");
}

#[test]
fn a_cold_shapefile_opens_in_ogrinfo() {
    let Some(scene) = Scene::new(|sources| {
        make(&sources.join("swf_vec_pt01/DATA/swf.shp"), "ESRI Shapefile", &[("swf", 300)]);
        std::fs::write(sources.join("swf_vec_pt01/DATA/swf.shp.xml"), "<xml/>").unwrap();
    }) else {
        return;
    };
    let product = "swf_vec_pt01";
    let (served, source) = (scene.served(product, "swf_vec_pt01.shp"), scene.source(product, "DATA/swf.shp"));
    let rename = |told: String| told.replace("Layer name: swf\n", &format!("Layer name: {product}\n"));
    let told = ogrinfo(&served, &["-so", "-al"]);
    assert!(told.contains("Feature Count: 300") && told.contains("EPSG\",3035"), "{told}");
    assert_eq!(told, rename(ogrinfo(&source, &["-so", "-al"])));
    let all = ogrinfo(&served, &["-ro", "-al"]).replace(&format!("({product})"), "(swf)");
    assert_eq!(
        all.replace(&format!("OGRFeature{product}"), "OGRFeatureswf"),
        rename(ogrinfo(&source, &["-ro", "-al"]))
            .replace(&format!("OGRFeature({product})"), "OGRFeature(swf)")
    );
    let endings = ["dbf", "prj", "shp", "shp.xml", "shx"];
    for ending in endings {
        assert_same_bytes(&served.with_extension(ending), &source.with_extension(ending));
    }
    let mut expected: Vec<String> = endings.iter().map(|ending| format!("{product}.{ending}")).collect();
    expected.extend(["item.json".to_owned(), "original/".to_owned()]);
    expected.sort();
    assert_eq!(names(&scene.mount.product(product)), expected);
    scene.assert_originals(product);
    let beside = scene.served(product, "original/swf_vec_pt01/DATA/swf.shp");
    assert_eq!(ogrinfo(&beside, &["-ro", "-al"]), ogrinfo(&source, &["-ro", "-al"]));
    assert_gone(&served.with_extension("gpkg"));
    scene.assert_one_order(product);
}

#[test]
fn real_packages_open_cold() {
    let Some(stage) = Stage::shared() else { return };
    let packages = [
        ("CLC2024_MT", "clc2024_mt.gpkg"),
        ("EE003L1_NARVA_UA2018_v013", "EE003L1_NARVA_UA2018/EE003L1_NARVA_UA2018.gpkg"),
    ];
    let Some(zips) = packages.iter().map(|(name, _)| real_package(name)).collect::<Option<Vec<_>>>() else {
        return;
    };
    let simulator = stage.simulator_of(zips[0].parent().unwrap(), QUICK);
    let mount = stage.mount(&simulator).start();
    for ((product, inside), zip) in packages.iter().zip(zips) {
        let unpacked = stage.folder().join(product);
        run("unzip", &[std::ffi::OsStr::new("-q"), zip.as_os_str(), "-d".as_ref(), unpacked.as_os_str()])
            .success();
        let source = unpacked.join(inside);
        let served = mount.product(product).join(format!("{product}.gpkg"));
        let told = ogrinfo(&served, &["-so", "-al"]);
        assert!(told.contains("Feature Count: "), "{told}");
        assert_eq!(told, ogrinfo(&source, &["-so", "-al"]));
        assert_eq!(ogrinfo(&served, &["-ro", "-al"]), ogrinfo(&source, &["-ro", "-al"]));
        run("cmp", &[&served, &source]).success();
        // Every file of the package is in `original/`, whatever folder the unpacking adds.
        let kept = files(&mount.product(product).join("original"));
        for (name, file) in files(&unpacked) {
            let found = kept.iter().find(|(path, _)| path.ends_with(&name));
            assert_same_bytes(&found.unwrap_or_else(|| panic!("{name} is not in {kept:?}")).1, &file);
        }
        let item: serde_json::Value =
            serde_json::from_slice(&std::fs::read(mount.product(product).join("item.json")).unwrap())
                .unwrap();
        let asset = &item["assets"]["gpkg"];
        assert_eq!(asset["type"], "application/geopackage+sqlite3");
        assert_eq!(asset["file:size"], std::fs::metadata(&source).unwrap().len());
        let sum = run("sha256sum", &[&source]).success().text();
        assert_eq!(asset["file:checksum"], format!("1220{}", sum.split(' ').next().unwrap()));
        assert_eq!(asset["clms:layers"].as_array().unwrap().len(), told.matches("Layer name:").count());
        assert!(item["bbox"].as_array().unwrap().iter().all(|edge| edge.is_f64()), "{item}");
        assert_eq!(simulator.requests().posts(product), 1);
    }
}

#[test]
fn the_sample_catalogue_has_an_example_of_each_format() {
    let Some(stage) = Stage::shared() else { return };
    let simulator = stage.simulator(QUICK);
    let mount = stage.mount(&simulator).start();
    for (product, ending, layers) in [
        ("u2018_clc2018_v2020_20u1_fgdb", "gdb", 1),
        ("u2018_clc2018_v2020_20u1_geoPackage", "gpkg", 1),
        ("DE008L2_LEIPZIG_UA2018_v013", "gpkg", 3),
        ("swf_2015_vec_FR_3035_123_pt01", "shp", 1),
    ] {
        let served = mount.product(product).join(format!("{product}.{ending}"));
        let told = ogrinfo(&served, &["-so", "-al"]);
        assert_eq!(told.matches("Layer name: ").count(), layers, "{told}");
        assert!(told.contains("Feature Count: 144") && told.contains("\"EPSG\",3035"), "{told}");
        assert_eq!(simulator.requests().posts(product), 1);
    }
}

#[test]
fn a_geopackage_in_wal_mode_can_be_read_on_the_mount() {
    let Some(stage) = Stage::shared() else { return };
    let folder = stage.folder().join("wal");
    let path = folder.join("w.gpkg");
    make(&path, "GPKG", &[("one", 5)]);
    let database = rusqlite::Connection::open(&path).unwrap();
    let _: String = database.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0)).unwrap();
    database.execute("UPDATE gpkg_contents SET description = 'from the log'", []).unwrap();
    // While it is open the change is in the log only, which is packed with it.
    pack(&stage.data(), "wal", &folder);
    let zipped = zip_names(&stage.data().join("wal.zip"));
    assert!(zipped.contains(&"wal/w.gpkg-wal".to_owned()), "{zipped:?}");
    drop(database);

    let simulator = stage.simulator(QUICK);
    let mount = stage.mount(&simulator).start();
    let served = mount.product("wal").join("wal.gpkg");
    assert!(ogrinfo(&served, &["-so", "-al"]).contains("Feature Count: 5"));
    assert_eq!(std::fs::read(&served).unwrap()[18..20], [1, 1], "no write-ahead log");
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let read = rusqlite::Connection::open_with_flags(&served, flags).unwrap();
    let text = |sql: &str| read.query_row(sql, [], |row| row.get::<_, String>(0)).unwrap();
    assert_eq!(text("SELECT description FROM gpkg_contents"), "from the log");
    assert_eq!(text("PRAGMA integrity_check"), "ok");
    let kept = mount.product("wal").join("original/wal");
    assert_eq!(names(&kept), ["w.gpkg"], "the log is part of it now");
    assert_same_bytes(&kept.join("w.gpkg"), &served);
}

fn zip_names(path: &Path) -> Vec<String> {
    let archive = zip::ZipArchive::new(std::fs::File::open(path).unwrap()).unwrap();
    archive.file_names().map(|name| name.unwrap().into_owned()).collect()
}

#[test]
fn several_geopackages_stand_side_by_side() {
    let Some(scene) = Scene::new(|sources| {
        let folder = sources.join("domains/DATA");
        make(&folder.join("French_DOMs/U2018_FR_GLP.gpkg"), "GPKG", &[("glp", 2)]);
        make(&folder.join("French_DOMs/U2018_FR_REU.gpkg"), "GPKG", &[("reu", 900)]);
        make(&folder.join("U2018.gpkg"), "GPKG", &[("europe", 4000)]);
    }) else {
        return;
    };
    let folder = scene.mount.product("domains");
    assert!(ogrinfo(&folder.join("domains.gpkg"), &["-so", "-al"]).contains("Layer name: europe"));
    assert_eq!(
        names(&folder),
        ["U2018_FR_GLP.gpkg", "U2018_FR_REU.gpkg", "domains.gpkg", "item.json", "original/"]
    );
    assert_same_bytes(&folder.join("domains.gpkg"), &scene.source("domains", "DATA/U2018.gpkg"));
    for name in ["U2018_FR_GLP.gpkg", "U2018_FR_REU.gpkg"] {
        let source = scene.source("domains", &format!("DATA/French_DOMs/{name}"));
        assert_same_bytes(&folder.join(name), &source);
    }
    scene.assert_originals("domains");
}

#[test]
fn a_wrong_guess_ends_with_what_is_really_there() {
    let records = [
        ("raster", r#"{"format": "Geotiff"}"#),
        ("gdb", r#"{"format": "GDB"}"#),
        ("any", r#"{"format": ""}"#),
    ];
    let Some(scene) = Scene::with_records(&records, |sources| {
        for product in ["raster", "gdb", "any"] {
            make(&sources.join(product).join("a.gpkg"), "GPKG", &[("a", 1)]);
        }
    }) else {
        return;
    };
    let cold = |product: &str| names(&scene.mount.product(product));
    assert_eq!(cold("raster"), ["item.json", "raster.tif", "raster.zarr/"]);
    assert_eq!(cold("gdb"), ["gdb.gdb/", "item.json"]);
    let anything = [
        "any.cpg",
        "any.dbf",
        "any.gdb/",
        "any.gpkg",
        "any.prj",
        "any.shp",
        "any.shx",
        "any.tif",
        "any.zarr/",
    ];
    assert_eq!(cold("any"), anything.into_iter().chain(["item.json"]).collect::<Vec<_>>());

    let told = run("gdalinfo", &[scene.mount.tif("raster")]);
    assert!(!told.status.success());
    assert!(told.stderr.contains("No such file"), "{}", told.stderr);
    let database = scene.served("gdb", "gdb.gdb");
    let told = run("ogrinfo", &["-so".as_ref(), "-al".as_ref(), database.as_os_str()]);
    assert!(!told.status.success(), "{}", told.text());
    assert!(ogrinfo(&scene.served("any", "any.gpkg"), &["-so", "-al"]).contains("Feature Count: 1"));
    for product in ["raster", "gdb", "any"] {
        assert_eq!(scene.mount.state(product), "ready");
        let package = format!("{product}.gpkg");
        let mut expected = [package.as_str(), "item.json", "original/"];
        expected.sort_unstable();
        assert_eq!(names(&scene.mount.product(product)), expected);
        assert!(ogrinfo(&scene.served(product, &package), &["-so", "-al"]).contains("Feature Count: 1"));
        for gone in ["tif", "zarr/zarr.json", "gdb/a00000001.gdbtable", "shp"] {
            assert_gone(&scene.served(product, &format!("{product}.{gone}")));
        }
        scene.assert_one_order(product);
    }
}

#[test]
fn rasters_and_vectors_of_one_package_are_both_there() {
    let Some(stage) = Stage::shared() else { return };
    let raster = Package::new("unused", Pixels::Classes, 300).write(&stage.folder().join("made"));
    let folder = stage.folder().join("mixed");
    make(&folder.join("vector/outline.gpkg"), "GPKG", &[("outline", 1)]);
    std::fs::copy(&raster, folder.join("value.tif")).unwrap();
    pack(&stage.data(), "mixed", &folder);
    let simulator = stage.simulator(QUICK);
    let mount = stage.mount(&simulator).start();
    let product = mount.product("mixed");
    assert!(ogrinfo(&product.join("mixed.gpkg"), &["-so", "-al"]).contains("Layer name: outline"));
    assert_eq!(
        names(&product),
        ["item.json", "mixed.gpkg", "mixed.tif", "mixed.zarr/", "original/", "preview.png"]
    );
    assert_eq!(
        crate::support::raster::checksums(&mount.tif("mixed")),
        crate::support::raster::checksums(&raster)
    );
    assert_eq!(simulator.requests().posts("mixed"), 1);
}

#[test]
fn a_package_without_geodata_is_a_clear_failure() {
    let Some(scene) = Scene::new(|sources| {
        for (product, file, text) in [
            ("nothing", "readme.txt", "no data here"),
            ("html", "Data/city.gpkg", "<html>Sorry</html>"),
            ("torn_fgdb", "x.gdb/a00000001.gdbtable", "torn"),
        ] {
            let path = sources.join(product).join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
    }) else {
        return;
    };
    for (product, name, words) in [
        ("nothing", "nothing.gpkg", ["no vector data", "readme.txt"]),
        ("html", "html.gpkg", ["SQLite", "Data/city.gpkg"]),
        ("torn_fgdb", "torn_fgdb.gdb/a00000001.gdbtable", ["geodatabase", "x.gdb/a00000001.gdbtable"]),
    ] {
        let error = std::fs::File::open(scene.served(product, name)).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EIO), "{error}");
        assert_eq!(scene.mount.state(product), "failed");
        let reason = scene.mount.attribute(product, "error");
        assert!(words.iter().all(|word| reason.contains(word)), "{reason}");
        assert!(scene.mount.run(&["status"]).success().text().contains(product));
    }
    wait::until_true("a failure leaves nothing in staging", || scene.mount.staging().is_empty());
    assert!(std::fs::read_dir(scene.mount.cache().join("rasters")).unwrap().next().is_none());
}

#[test]
fn the_verbs_know_vector_products() {
    let Some(scene) = Scene::new(|sources| {
        make(&sources.join("town_vector/town.gpkg"), "GPKG", &[("town", 2000)]);
    }) else {
        return;
    };
    let mount = &scene.mount;
    let served = scene.served("town_vector", "town_vector.gpkg");
    assert!(mount.run(&["ls", "data"]).success().text().contains("town_vector"));
    mount.run(&["fetch", &served.display().to_string()]).success();
    assert_eq!(mount.state("town_vector"), "ready");
    assert_eq!(mount.attribute("town_vector", "progress"), "100 %");
    assert!(mount.run(&["cache", "ls"]).success().text().contains("town_vector"));
    let proof = mount.run(&["cache", "verify"]).success().text();
    assert!(proof.contains("1 side files proven"), "{proof}");

    mount.run(&["cache", "evict", "data/town_vector"]).success();
    assert_eq!(mount.state("town_vector"), "cold");
    wait::until_true("the size of a cold file", || std::fs::metadata(&served).unwrap().len() == 0);
    assert!(ogrinfo(&served, &["-so", "-al"]).contains("Feature Count: 2000"));
    assert_eq!(scene.simulator.requests().downloads("town_vector"), 2);

    // One wrong bit in the middle of a table is found.
    let kept = run("find", &[mount.cache().as_os_str(), "-name".as_ref(), "town.gpkg".as_ref()]).success();
    let kept = PathBuf::from(kept.text().trim());
    let mut bytes = std::fs::read(&kept).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&kept, bytes).unwrap();
    let verdict = mount.run(&["cache", "verify"]);
    assert_eq!(verdict.status.code(), Some(1));
    let told = verdict.text() + &verdict.stderr;
    assert!(told.contains("town.gpkg") && told.contains("checksum"), "{told}");
    assert_eq!(mount.state("town_vector"), "cold", "what is damaged is removed");
    assert!(ogrinfo(&served, &["-so", "-al"]).contains("Feature Count: 2000"), "and fetched again");
}

#[test]
fn fifty_readers_of_a_cold_geopackage_cost_one_order() {
    let Some(scene) = Scene::new(|sources| {
        make(&sources.join("busy_vector/busy.gpkg"), "GPKG", &[("busy", 100)]);
    }) else {
        return;
    };
    let served = scene.served("busy_vector", "busy_vector.gpkg");
    let readers: Vec<Reader> = (0..50).map(|_| Reader::start("sha256sum", &[&served])).collect();
    let told: std::collections::BTreeSet<String> =
        readers.into_iter().map(|reader| reader.finish().success().text()).collect();
    let expected = run("sha256sum", &[scene.source("busy_vector", "busy.gpkg")]).success().text();
    assert_eq!(told.len(), 1);
    assert_eq!(told.first().unwrap().split(' ').next(), expected.split(' ').next());
    scene.assert_one_order("busy_vector");
}
