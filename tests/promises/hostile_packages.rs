//! Packages that strangers made to harm: each costs its own product, with a reason that can be shown, and nothing else.

use std::fs::{self, File};
use std::io::{Cursor, Write};
use std::net::TcpListener;
use std::path::Path;

use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use clmsfs::text::is_harmless;

use crate::support::packages::Pixels;
use crate::support::process::run;
use crate::support::{Package, Stage, raster, vectors};

type Zip = ZipWriter<Cursor<Vec<u8>>>;

/// A zip of these files.
fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = Zip::new(Cursor::default());
    for (name, bytes) in files {
        zip.start_file(*name, SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// A zip whose only member is of another kind than a file.
fn node(kind: u32) -> Vec<u8> {
    let mut zip = Zip::new(Cursor::default());
    zip.start_file("p/node.tif", SimpleFileOptions::default().unix_permissions(0o644)).unwrap();
    let mut bytes = zip.finish().unwrap().into_inner();
    let directory = bytes.windows(4).position(|window| window == b"PK\x01\x02").unwrap();
    // made by Unix; the mode is in the upper half of the external attributes
    bytes[directory + 5] = 3;
    bytes[directory + 38..directory + 42].copy_from_slice(&((kind | 0o644) << 16).to_le_bytes());
    bytes
}

/// The same bytes with another text of the same length.
fn patched(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut bytes = bytes.to_vec();
    for at in 0..=bytes.len() - from.len() {
        if bytes[at..].starts_with(from) {
            bytes[at..at + to.len()].copy_from_slice(to);
        }
    }
    bytes
}

/// A zip that holds zips that hold zips of much more than all of them have room for.
fn nested_bomb() -> Vec<u8> {
    let zeros = vec![0; 100 << 20];
    zip(&[("Results/p.zip", &zip(&[("p/p.tif", &zeros)]))])
}

/// More members than any package has.
fn many_members() -> Vec<u8> {
    let mut zip = Zip::new(Cursor::default());
    let stored = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for number in 0..100_001 {
        zip.start_file(format!("p/{number}"), stored).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// Every package with the words that its reason must have.
fn packages(tif: &[u8]) -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let symlink = {
        let mut zip = Zip::new(Cursor::default());
        zip.add_symlink("p/p.tif", "/etc/passwd", SimpleFileOptions::default()).unwrap();
        zip.finish().unwrap().into_inner()
    };
    let vrt = b"<VRTDataset rasterXSize=\"9\" rasterYSize=\"9\"><VRTRasterBand band=\"1\" dataType=\"Byte\">\
        <SimpleSource><SourceFilename>/etc/passwd</SourceFilename></SimpleSource></VRTRasterBand></VRTDataset>";
    let wms =
        b"<GDAL_WMS><Service name=\"WMS\"><ServerUrl>http://127.0.0.1/</ServerUrl></Service></GDAL_WMS>";
    let plain = zip(&[("p/bbbb.tif", tif)]);
    let deep = (0..6).fold(zip(&[("x.txt", b"x")]), |inner, _| zip(&[("p.zip", &inner)]));
    vec![
        ("slip", zip(&[("p/p.tif", tif), ("../../../../escaped.txt", b"x")]), "leaves the package"),
        ("slip-windows", zip(&[("p/p.tif", tif), ("..\\..\\escaped.txt", b"x")]), "leaves the package"),
        ("absolute", zip(&[("p/p.tif", tif), ("/tmp/escaped.txt", b"x")]), "absolute"),
        ("drive", zip(&[("p/p.tif", tif), ("C:\\escaped.txt", b"x")]), "absolute"),
        ("symlink", symlink, "symbolic link"),
        ("device", node(libc::S_IFCHR), "device, pipe or socket"),
        ("pipe", node(libc::S_IFIFO), "device, pipe or socket"),
        ("socket", node(libc::S_IFSOCK), "device, pipe or socket"),
        ("line-end", patched(&plain, b"bbbb", b"b\nbb"), "control characters"),
        ("escape", patched(&plain, b"bbbb", b"\x1b[2J"), "control characters"),
        ("nul", patched(&plain, b"bbbb", b"b\0bb"), "control characters"),
        ("twice", patched(&zip(&[("p/a.tif", tif), ("p/b.tif", tif)]), b"p/b.tif", b"p/a.tif"), "same name"),
        ("folder-and-file", zip(&[("p/a", tif), ("p/a/b.tif", tif)]), "folder and a file"),
        ("nested-bomb", nested_bomb(), "times the package's own size"),
        ("many-members", many_members(), "members"),
        ("deep", deep, "holds no raster"),
        ("vrt", zip(&[("p/p.vrt", vrt)]), "holds no raster"),
        ("vrt-as-tif", zip(&[("p/p.tif", vrt)]), "p/p.tif"),
        ("wms-as-tif", zip(&[("p/p.tif", wms)]), "p/p.tif"),
        ("vrt-as-nc", zip(&[("p/p.nc", vrt)]), "p/p.nc"),
        ("wms-as-gpkg", zip(&[("p/p.gpkg", wms)]), "no SQLite database"),
        ("vrt-as-shp", zip(&[("p/p.shp", vrt)]), "no shapefile"),
        (
            "gdb-odd",
            zip(&[("p/p.gdb/a00000001.gdbtable", b"../../../../etc/passwd")]),
            "no geodatabase table",
        ),
        ("mbtiles", zip(&[("p/p.mbtiles", b"SQLite format 3\0")]), "holds no raster"),
    ]
}

/// What is shown anywhere can be shown.
#[track_caller]
fn assert_harmless(what: &str, text: &str) {
    let bad = text.chars().find(|&letter| !is_harmless(letter) && letter != '\n');
    assert!(bad.is_none(), "{what} has the letter {bad:?}");
}

#[test]
fn each_costs_its_own_product_and_says_why() {
    let Some(stage) = Stage::shared() else { return };
    let good = Package::new("good", Pixels::Classes, 64).write(&stage.data());
    let packages = packages(&fs::read(&good).unwrap());
    for (name, bytes, _) in &packages {
        fs::write(stage.data().join(format!("{name}.zip")), bytes).unwrap();
    }
    let simulator = stage.simulator("queued = '10ms'\nrunning = '10ms'");
    let mount = stage.mount(&simulator).start();
    for (name, _, words) in &packages {
        // The file that would hold the raster, whatever the record says of its kind.
        let folder = mount.product(name);
        let file = ["tif", "gpkg", "shp"].map(|ending| folder.join(format!("{name}.{ending}")));
        let table = folder.join(format!("{name}.gdb/a00000001.gdbtable"));
        let file = file.into_iter().chain([table, folder.join(format!("{name}.zarr/zarr.json"))]);
        let file = file.into_iter().find(|path| path.exists()).unwrap();
        let error = File::open(&file).unwrap_err();
        let reason = mount.attribute(name, "error");
        assert_eq!(error.raw_os_error(), Some(libc::EIO), "{name}: {error}; {reason}");
        assert!(reason.contains(words), "{name}: '{reason}' does not say '{words}'");
        assert_harmless(name, &reason);
        assert_eq!(mount.state(name), "failed", "{name}");
    }
    assert!(mount.staging().is_empty(), "{:?}", mount.staging());
    for place in ["/tmp/escaped.txt", "/escaped.txt"] {
        assert!(!Path::new(place).exists(), "{place}");
    }
    let escaped = run("find", &[stage.folder().as_os_str(), "-name".as_ref(), "*escaped*".as_ref()]);
    assert_eq!(escaped.text(), "", "something left its package");
    assert_eq!(raster::checksums(&mount.tif("good")), raster::checksums(&good));
    for verb in [&["jobs"][..], &["status"], &["jobs", "--json"], &["status", "--json"]] {
        let text = mount.run(verb).success().text();
        assert!(text.contains("escape"), "{verb:?} does not name what failed: {text}");
        assert_harmless(&verb.join(" "), &text);
    }
    assert_harmless("the log", &mount.log());
    println!("{} packages refused", packages.len());
}

#[test]
fn names_that_turn_text_round_or_hide_are_served_without_their_tricks() {
    let Some(stage) = Stage::shared() else { return };
    let good = Package::new("good", Pixels::Classes, 64).write(&stage.data());
    let tif = fs::read(&good).unwrap();
    let tricky = zip(&[
        ("p/p.tif", &tif),
        ("p/read\u{202e}fdp.exe", b"x"),
        ("p/\u{200b}hidden\u{2066}.txt", b"x"),
        ("p/caf\u{e9}.txt", b"x"),
        ("p/latin-b.txt", b"x"),
    ]);
    // A name that is no UTF-8: Windows' é.
    let tricky = patched(&tricky, b"latin-b", b"latin-\xe9");
    fs::write(stage.data().join("tricky.zip"), tricky).unwrap();
    // The service's own names.
    fs::write(stage.data().join("o\u{1b}[31md\u{202e}d\n.zip"), zip(&[("p/p.tif", &tif)])).unwrap();
    let simulator = stage.simulator("queued = '10ms'\nrunning = '10ms'");
    let mount = stage.mount(&simulator).start();
    mount.product("o[31mdd");
    assert_eq!(raster::checksums(&mount.tif("tricky")), raster::checksums(&good));
    // The service packs it under its own name, which is refused as any such name in a package.
    assert!(!mount.cat("o[31mdd").status.success());
    let reason = mount.attribute("o[31mdd", "error");
    assert!(reason.contains("control characters"), "{reason}");
    assert_harmless("the reason", &reason);
    let original = mount.product("tricky").join("original");
    let list = run("find", &[original.as_os_str()]).success().text();
    for name in ["/readfdp.exe", "/hidden.txt", "/café.txt", "/latin-"] {
        assert!(list.contains(name), "{list:?}");
    }
    assert_harmless("the tree", &run("find", &[mount.point()]).success().text());
    for verb in [
        &["ls", "data"][..],
        &["ls", "data", "--json"],
        &["search", "31m"],
        &["status"],
        &["jobs"],
        &["status", "--json"],
        &["cache", "ls"],
        &["cache", "ls", "--json"],
        &["fetch", "data/o[31mdd"],
        &["fetch", "data/no\u{1b}[2J\u{202e}such"],
    ] {
        let finished = mount.run(verb);
        assert_harmless(&verb.join(" "), &(finished.text() + &finished.stderr));
    }
    assert_harmless("the log", &mount.log());
    let mut documents = 0;
    for dataset in fs::read_dir(mount.point()).unwrap().map(|entry| entry.unwrap().path()) {
        for file in
            ["collection.json", "metadata.json", "tricky/item.json", "o[31mdd/item.json", "status.json"]
        {
            let Ok(text) = fs::read_to_string(dataset.join(file)) else { continue };
            documents += 1;
            serde_json::from_str::<serde_json::Value>(&text).unwrap();
            assert_harmless(file, &text);
        }
    }
    assert!(documents > 4);
    // What the service said is still there for programs.
    let item = fs::read_to_string(mount.product("o[31mdd").join("item.json")).unwrap();
    assert!(item.contains("\\u001b[31m") && item.contains("\\u202e"), "{item}");
}

#[test]
fn what_a_file_names_elsewhere_is_neither_read_nor_called() {
    let Some(stage) = Stage::shared() else { return };
    let good = Package::new("good", Pixels::Classes, 600).write(&stage.data());
    let tif = fs::read(&good).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let far = format!("/vsicurl/http://{}/far.tif", listener.local_addr().unwrap());
    let secret = stage.folder().join("secret.tif");
    fs::write(&secret, &tif).unwrap();
    let aux = |overview: &str| {
        format!(
            "<PAMDataset><Metadata domain=\"OVERVIEWS\"><MDI key=\"OVERVIEW_FILE\">{overview}</MDI></Metadata>\
             <PAMRasterBand band=\"1\"><Metadata domain=\"\"><MDI key=\"A\">{overview}</MDI></Metadata></PAMRasterBand></PAMDataset>"
        )
    };
    let reference = |target: &str| {
        format!(
            "<VRTDataset rasterXSize=\"600\" rasterYSize=\"600\"><VRTRasterBand band=\"1\" dataType=\"Byte\"><SimpleSource>\
             <SourceFilename>{target}</SourceFilename></SimpleSource></VRTRasterBand></VRTDataset>"
        )
    };
    let local = secret.to_str().unwrap();
    let mut names = Vec::new();
    for (name, target) in [("far", far.as_str()), ("near", local)] {
        let (aux, vrt) = (aux(target), reference(target));
        let bytes = zip(&[
            ("p/p.tif", &tif),
            ("p/p.tif.aux.xml", aux.as_bytes()),
            ("p/p.tif.ovr", vrt.as_bytes()),
            ("p/p.tif.msk", vrt.as_bytes()),
            ("p/p.vrt", vrt.as_bytes()),
            ("p/p.tfw", b"1e999\n0\n0\n-x\n"),
            ("p/p.prj", b"GEOGCS[\"\x1b[31m"),
        ]);
        fs::write(stage.data().join(format!("{name}.zip")), bytes).unwrap();
        names.push(name);
    }
    let simulator = stage.simulator("queued = '10ms'\nrunning = '10ms'");
    let mount = stage.mount(&simulator).start();
    for name in names {
        assert_eq!(raster::checksums(&mount.tif(name)), raster::checksums(&good), "{name}");
    }
    assert!(listener.accept().is_err(), "GDAL called the address that a file named");
    assert_harmless("the log", &mount.log());
}

#[test]
fn a_geopackage_that_brings_code_is_served_and_nothing_of_it_is_run() {
    let Some(stage) = Stage::shared() else { return };
    let path = stage.folder().join("in/p.gpkg");
    vectors::make(&path, "GPKG", &[("towns", 40)]);
    let evil = stage.folder().join("evil");
    let evil = evil.to_str().unwrap();
    let database = rusqlite::Connection::open(&path).unwrap();
    database
        .execute_batch(&format!(
            "CREATE VIEW evil AS SELECT 1 AS fid, load_extension('{evil}.so') AS x, writefile('{evil}', 'x') AS y;
             INSERT INTO gpkg_contents (table_name, data_type, identifier, srs_id) VALUES ('evil', 'attributes', 'evil', 0);
             CREATE TRIGGER on_insert AFTER INSERT ON gpkg_contents BEGIN DELETE FROM towns; SELECT load_extension('{evil}.so'); END;
             CREATE TRIGGER on_update AFTER UPDATE ON gpkg_contents BEGIN DELETE FROM towns; END;
             CREATE TRIGGER on_delete AFTER DELETE ON towns BEGIN SELECT load_extension('{evil}.so'); END;
             PRAGMA journal_mode = WAL;"
        ))
        .unwrap();
    database.close().unwrap();
    // WAL mode: SQLite itself has to write in it.
    assert_eq!(fs::read(&path).unwrap()[18..20], [2, 2]);
    fs::write(stage.data().join("p.zip"), zip(&[("p/p.gpkg", &fs::read(&path).unwrap())])).unwrap();
    let simulator = stage.simulator("queued = '10ms'\nrunning = '10ms'");
    let mount = stage.mount(&simulator).start();
    let served = fs::read(mount.product("p").join("p.gpkg")).unwrap();
    assert_eq!((mount.state("p"), &served[18..20]), ("ready".to_owned(), &[1, 1][..]));
    assert!(!Path::new(evil).exists());
    // Bytes that only count changes may differ; what is in it may not.
    let dump = |path: &Path| -> Vec<String> {
        let database = rusqlite::Connection::open(path).unwrap();
        let mut query = database
            .prepare("SELECT type || name || coalesce(sql, '') FROM sqlite_master UNION ALL SELECT fid || hex(geom) || code FROM towns")
            .unwrap();
        query.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    let copy = stage.folder().join("served.gpkg");
    fs::write(&copy, &served).unwrap();
    let (before, after) = (dump(&path), dump(&copy));
    assert!(before.len() > 50 && before.iter().any(|row| row.contains("load_extension")), "{}", before.len());
    assert_eq!(before, after);
}
