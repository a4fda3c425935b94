//! The harness itself: a check that cannot fail proves nothing.

use std::path::Path;

use gdal::raster::Buffer;
use gdal::{Dataset, DatasetOptions, GdalOpenFlags};

use crate::support::packages::{Pixels, raster_inside};
use crate::support::raster::{Raster, checksums};
use crate::support::secrets::Secrets;
use crate::support::{Package, control, proxy::Proxy};

const ALL: [Pixels; 6] =
    [Pixels::Classes, Pixels::Noise, Pixels::Heights, Pixels::Ramps, Pixels::Signed, Pixels::Floats];

#[test]
fn packages_hold_the_raster_that_stands_beside_them() {
    let folder = tempfile::tempdir().unwrap();
    for pixels in ALL {
        let name = format!("{pixels:?}").to_lowercase();
        let source = Package::new(&name, pixels, 200).write(folder.path());
        let packed = raster_inside(&folder.path().join(format!("{name}.zip"))).unwrap();
        assert_eq!(checksums(&source), checksums(&packed), "{name}");
        Raster::read(&source).assert_same(&Raster::read(&packed), &name);
    }
}

#[test]
fn two_products_never_have_the_same_pixels() {
    let folder = tempfile::tempdir().unwrap();
    for pixels in ALL {
        let [one, two] = ["one", "two"].map(|name| Package::new(name, pixels, 100).write(folder.path()));
        assert_ne!(checksums(&one), checksums(&two), "{pixels:?}");
    }
}

#[test]
fn ramps_are_small_as_a_package() {
    let folder = tempfile::tempdir().unwrap();
    Package::new("ramps", Pixels::Ramps, 1000).write(folder.path());
    let size = std::fs::metadata(folder.path().join("ramps.zip")).unwrap().len();
    assert!(size < 1000 * 1000 * 2 / 8, "{size}: the cache tests need packages far below their raw size");
}

#[test]
#[should_panic(expected = "column 7, row 5: ")]
fn one_wrong_pixel_is_noticed() {
    changed(Pixels::Classes, |set| {
        let mut band = set.rasterband(1).unwrap();
        band.write((7, 5), (1, 1), &mut Buffer::new((1, 1), vec![77u8])).unwrap();
    });
}

#[test]
#[should_panic(expected = "geotransform")]
fn half_a_metre_is_noticed() {
    changed(Pixels::Heights, |set| {
        let mut transform = set.geo_transform().unwrap();
        transform[0] += 0.5;
        set.set_geo_transform(&transform).unwrap();
    });
}

#[test]
#[should_panic(expected = "CRS")]
fn another_reference_system_is_noticed() {
    changed(Pixels::Heights, |set| {
        set.set_spatial_ref(&gdal::spatial_ref::SpatialRef::from_epsg(25832).unwrap()).unwrap();
    });
}

#[test]
#[should_panic(expected = "nodata")]
fn another_nodata_is_noticed() {
    changed(Pixels::Signed, |set| set.rasterband(1).unwrap().set_no_data_value(Some(-127.0)).unwrap());
}

fn changed(pixels: Pixels, change: impl Fn(&mut Dataset)) {
    let folder = tempfile::tempdir().unwrap();
    let source = Package::new("changed", pixels, 64).write(folder.path());
    let before = Raster::read(&source);
    let flags = GdalOpenFlags::GDAL_OF_UPDATE | GdalOpenFlags::GDAL_OF_RASTER;
    let mut set =
        Dataset::open_ex(&source, DatasetOptions { open_flags: flags, ..Default::default() }).unwrap();
    change(&mut set);
    set.flush_cache().unwrap();
    drop(set);
    before.assert_same(&Raster::read(Path::new(&source)), "changed");
}

#[test]
fn a_cut_wire_refuses_and_a_mended_one_forwards() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let target = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let _ = std::io::Read::read(&mut stream, &mut [0; 1024]);
            let _ = std::io::Write::write_all(&mut stream, b"HTTP/1.0 200 OK\r\n\r\nhello");
        }
    });
    let mut proxy = Proxy::start(&target);
    let hello = |proxy: &Proxy| control::request(&proxy.authority(), "GET", "/", "");
    assert_eq!(hello(&proxy), (200, b"hello".to_vec()));
    proxy.cut();
    assert!(std::net::TcpStream::connect(proxy.authority()).is_err());
    proxy.mend();
    assert_eq!(hello(&proxy), (200, b"hello".to_vec()));
}

#[test]
fn a_secret_in_a_log_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key.json");
    let line = "MIIEowIBAAKCAQEAx0123456789abcdefghijklmnop";
    let pem = format!("-----BEGIN RSA PRIVATE KEY-----\n{line}\n-----END RSA PRIVATE KEY-----\n");
    std::fs::write(&key, serde_json::json!({ "private_key": pem }).to_string()).unwrap();
    // Nobody listens there: the tokens of a service that has ended are not known any more.
    let secrets = Secrets::of(&key, "127.0.0.1:1");
    assert_eq!(secrets.count(), 1);
    for text in [&format!("key=\"{line}\""), "assertion=eyJ0eXAiOiJKV1Qi", "-----BEGIN RSA PRIVATE KEY-----"]
    {
        assert!(secrets.found_in(text).is_some(), "{text}");
    }
    assert_eq!(secrets.found_in("fetch failed: the service refused the credentials"), None);
}

#[test]
fn every_dependency_has_a_reason() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest: toml::Table = std::fs::read_to_string(root.join("Cargo.toml")).unwrap().parse().unwrap();
    let document = std::fs::read_to_string(root.join("docs/ARCHITECTURE.md")).unwrap();
    let (_, table) = document.split_once("## Dependencies").unwrap();
    let named: Vec<&str> = table
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split(" | ").next())
        .flat_map(|cell| cell.split([',', ' ']))
        .collect();
    for section in ["dependencies", "dev-dependencies"] {
        for name in manifest[section].as_table().unwrap().keys() {
            assert!(named.contains(&name.as_str()), "docs/ARCHITECTURE.md gives no reason for {name}");
        }
    }
}

#[test]
fn every_promise_of_reliability_names_a_test_that_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut names = std::collections::HashSet::new();
    let mut folders = vec![root.join("src"), root.join("tests"), root.join("fuzz")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if path.is_dir() {
                // what is built beside the fuzz targets is none of ours
                folders.extend((entry.file_name() != "target").then_some(path));
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let source = std::fs::read_to_string(&path).unwrap();
                let words: Vec<&str> = source.split_whitespace().collect();
                let declared = words.windows(2).filter(|pair| matches!(pair[0], "fn" | "mod"));
                names.extend(declared.map(|pair| pair[1].split(['(', '<', ';']).next().unwrap().to_owned()));
                // a macro makes a test of each row of the faults
                let rows = words.windows(2).filter(|pair| pair[1] == "Row");
                names.extend(rows.filter_map(|pair| Some(pair[0].strip_suffix(':')?.to_owned())));
                names.insert(path.file_stem().unwrap().to_string_lossy().into_owned());
            }
        }
    }
    let document = std::fs::read_to_string(root.join("docs/RELIABILITY.md")).unwrap();
    let rows = document.lines().filter(|line| line.starts_with("| ")).filter_map(|row| row.split('|').nth(2));
    let mut count = 0;
    for test in rows.flat_map(|cell| cell.split('`').skip(1).step_by(2)).filter(|test| test.contains("::")) {
        let name = test.rsplit("::").next().unwrap();
        assert!(names.contains(name), "docs/RELIABILITY.md names the test {test}, and there is none");
        count += 1;
    }
    assert!(count > 40, "only {count} tests are named; is the table still a table?");
}
