//! Opening a cold file brings the product; from then on it is a local file.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::packages::Pixels;
use crate::support::{Package, Stage, process, raster, xattr};

#[test]
fn a_cold_geotiff_is_ordered_fetched_converted_and_served() {
    let Some(stage) = Stage::shared() else { return };
    let source = Package::new("classes", Pixels::Classes, 900).write(&stage.data());
    let simulator = stage.simulator("queued = '200ms'\nrunning = '300ms'");
    let mount = stage.mount(&simulator).start();
    let tif = mount.tif("classes");

    assert_eq!(mount.state("classes"), "cold");
    let cold = fs::metadata(&tif).unwrap();
    assert_eq!((cold.size(), cold.blocks()), (0, 0), "a cold file has no size");

    // The reader's own fstat must see the true size: GDAL and mmap allocate by it.
    let mut file = File::open(&tif).unwrap();
    let size = file.metadata().unwrap().len();
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).unwrap();
    assert!(size > 0);
    assert_eq!(bytes.len() as u64, size);
    assert_eq!(fs::metadata(&tif).unwrap().len(), size, "stat agrees after the fetch");
    assert_eq!(mount.state("classes"), "ready");
    assert_eq!(raster::checksums(&tif), raster::checksums(&source));

    let requests = simulator.requests();
    assert_eq!((requests.posts("classes"), requests.downloads("classes")), (1, 1));
}

#[test]
fn a_size_of_zero_that_was_listed_is_forgotten_before_anybody_is_let_in() {
    let Some(stage) = Stage::shared() else { return };
    Package::new("classes", Pixels::Classes, 300).write(&stage.data());
    let simulator = stage.simulator("queued = '50ms'\nrunning = '50ms'");
    let mount = stage.mount(&simulator).start();
    let (product, zarr) = (mount.product("classes"), mount.zarr("classes"));
    let item = product.join("item.json");
    let cold =
        [&[mount.tif("classes")], &*names(&zarr).iter().map(|name| zarr.join(name)).collect::<Vec<_>>()]
            .concat();
    // the kernel may believe these for a while
    assert!(cold.iter().all(|path| fs::metadata(path).unwrap().len() == 0));
    let before = fs::metadata(&item).unwrap().len();
    mount.run(&["fetch", "data/classes"]).success();
    for path in &cold {
        let looked = fs::metadata(path).unwrap().len();
        assert_eq!((looked > 0, fs::read(path).unwrap().len() as u64), (true, looked), "{}", path.display());
    }
    assert_ne!(fs::read(&item).unwrap().len() as u64, before, "the description is another one");
    assert_eq!(fs::read(&item).unwrap().len() as u64, fs::metadata(&item).unwrap().len());
}

#[test]
fn nobody_reads_an_empty_file_however_many_look_at_it_meanwhile() {
    let Some(stage) = Stage::shared() else { return };
    let products: Vec<String> = (0..6).map(|number| format!("classes{number}")).collect();
    for name in &products {
        Package::new(name, Pixels::Classes, 64).write(&stage.data());
    }
    let simulator = stage.simulator("queued = '0s'\nrunning = '0s'");
    let mount = stage.mount(&simulator).start();
    let mut listed = Vec::new();
    for name in &products {
        let zarr = mount.zarr(name);
        listed.extend([mount.tif(name), mount.product(name).join("item.json")]);
        listed.extend(names(&zarr).iter().map(|name| zarr.join(name)));
    }
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            // only what the kernel was told already: a listing would bring it the true sizes as soon as they are there
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    for path in &listed {
                        fs::metadata(path).unwrap();
                    }
                }
            });
        }
        let readers: Vec<_> = (products.iter())
            .map(|name| {
                let (tif, zarr) = (mount.tif(name), mount.zarr(name));
                scope.spawn(move || {
                    let read = |path: &Path| {
                        let mut file = File::open(path).unwrap();
                        let mut bytes = Vec::new();
                        file.read_to_end(&mut bytes).unwrap();
                        (file.metadata().unwrap().len(), bytes.len() as u64)
                    };
                    // the one that waits, and those that find it ready at that very moment
                    let paths = [tif, zarr.join("zarr.json"), zarr.join(".zmetadata"), zarr.join(".zgroup")];
                    paths.map(|path| read(&path))
                })
            })
            .collect();
        let read: Vec<_> = readers.into_iter().map(|reader| reader.join()).collect();
        over.store(true, Ordering::Relaxed);
        for (size, bytes) in read.into_iter().flat_map(Result::unwrap) {
            assert!(size > 0 && size == bytes, "{bytes} bytes of {size}");
        }
    });
}

#[test]
fn the_first_program_that_opens_it_may_be_gdal_itself() {
    let Some(stage) = Stage::shared() else { return };
    let source = Package::new("heights", Pixels::Heights, 700).write(&stage.data());
    let simulator = stage.simulator("queued = '100ms'\nrunning = '100ms'");
    let mount = stage.mount(&simulator).start();
    // Cold, and the reader is another process that knows nothing of us.
    assert_eq!(raster::checksums(&mount.tif("heights")), raster::checksums(&source));
}

#[test]
fn a_cold_zarr_shows_four_names_and_opening_one_brings_the_product_once() {
    let Some(stage) = Stage::shared() else { return };
    let source = Package::new("heights", Pixels::Heights, 700).write(&stage.data());
    let simulator = stage.simulator("queued = '100ms'\nrunning = '100ms'");
    let mount = stage.mount(&simulator).start();
    let zarr = mount.zarr("heights");
    assert_eq!(names(&zarr), [".zattrs", ".zgroup", ".zmetadata", "zarr.json"]);

    // zarr-python 3 opens all four at once.
    let readers: Vec<_> =
        names(&zarr).iter().map(|name| process::Reader::start("cat", &[zarr.join(name)])).collect();
    for reader in readers {
        let text = reader.finish().success().text();
        serde_json::from_str::<serde_json::Value>(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    }
    assert!(names(&zarr).contains(&"band".to_owned()), "{:?}", names(&zarr));
    assert_eq!(simulator.requests().posts("heights"), 1);
    assert_eq!(simulator.requests().downloads("heights"), 1);

    // GDAL reads the same pixels from the Zarr as from the source.
    let array = format!("ZARR:\"{}\":/band", zarr.display());
    assert_eq!(raster::checksums(Path::new(&array)), raster::checksums(&source));
}

#[test]
fn a_second_read_asks_the_service_nothing_and_survives_a_restart_without_it() {
    let Some(stage) = Stage::shared() else { return };
    Package::new("classes", Pixels::Classes, 900).write(&stage.data());
    Package::new("other", Pixels::Classes, 300).write(&stage.data());
    let mut simulator = stage.simulator("queued = '100ms'\nrunning = '100ms'");
    let mut mount = stage.mount(&simulator).start();
    let first = mount.cat("classes").success().stdout;
    simulator.reset_when_quiet();
    assert!(mount.cat("classes").success().stdout == first);
    assert_eq!(simulator.requests().total(), 0);

    // Offline: the catalogue comes from the last snapshot, the pixels from the cache.
    simulator.stop();
    assert!(mount.terminate().success());
    mount.start_again();
    assert_eq!(mount.state("classes"), "ready");
    assert!(mount.cat("classes").success().stdout == first);
    assert_eq!(mount.state("other"), "cold");
}

#[test]
fn a_ready_product_shows_its_side_files_and_true_metadata() {
    let Some(stage) = Stage::shared() else { return };
    Package::new("classes", Pixels::Classes, 900).write(&stage.data());
    let simulator = stage.simulator("queued = '50ms'\nrunning = '50ms'");
    let mount = stage.mount(&simulator).start();
    let product = mount.product("classes");
    assert!(!product.join("preview.png").exists(), "a cold preview would let thumbnailers order data");
    assert!(!product.join("original").exists());
    mount.cat("classes").success();

    let preview = fs::read(product.join("preview.png")).unwrap();
    assert!(preview.starts_with(b"\x89PNG\r\n\x1a\n"));
    assert!(find(&product.join("original"), "classes.xml"), "the package's metadata is served unchanged");
    let item: serde_json::Value =
        serde_json::from_slice(&fs::read(product.join("item.json")).unwrap()).unwrap();
    let text = item.to_string();
    assert!(text.contains("3035") && text.contains("900"), "CRS and shape are in the item: {text}");
}

#[test]
fn the_tree_is_read_only_and_tells_the_truth_about_itself() {
    let Some(stage) = Stage::shared() else { return };
    Package::new("classes", Pixels::Classes, 300).write(&stage.data());
    let simulator = stage.simulator("");
    let mount = stage.mount(&simulator).flag("--cache-size", "64MB").start();
    let product = mount.product("classes");

    let errno = |outcome: std::io::Result<()>| outcome.unwrap_err().raw_os_error();
    assert_eq!(errno(fs::write(product.join("new"), "x")), Some(libc::EROFS));
    assert_eq!(errno(fs::write(mount.tif("classes"), "x")), Some(libc::EROFS));
    assert_eq!(errno(fs::create_dir(product.join("new"))), Some(libc::EROFS));
    assert_eq!(errno(fs::remove_file(product.join("item.json"))), Some(libc::EROFS));
    assert_eq!(errno(fs::rename(product.join("item.json"), product.join("x"))), Some(libc::EROFS));
    assert_eq!(errno(std::os::unix::fs::symlink("a", product.join("x"))), Some(libc::EROFS));

    for name in ["README.md", "catalog.json", ".clmsfs/status.json", ".clmsfs/version"] {
        assert!(!fs::read(mount.point().join(name)).unwrap().is_empty(), "{name}");
    }
    let config = fs::read_to_string(mount.point().join(".clmsfs/config.toml")).unwrap();
    assert!(config.contains("cache_size") && !config.contains("service-key.json"), "{config}");

    let has = |names: &[&str]| {
        let attributes = xattr::list(&product).unwrap();
        for name in names {
            assert!(attributes.contains(&format!("user.clmsfs.{name}")), "{name} in {attributes:?}");
        }
    };
    has(&["state", "data_id", "pinned"]);
    assert_eq!(xattr::get(&product, "user.clmsfs.nonsense").unwrap_err().raw_os_error(), Some(libc::ENODATA));
    mount.cat("classes").success();
    has(&["state", "data_id", "pinned", "progress", "size"]);
    assert!(mount.attribute("classes", "size").parse::<u64>().unwrap() > 0);
    assert_eq!(errno(xattr::set(&product, "user.clmsfs.state", "cold")), Some(libc::EROFS));

    // df shows the cache's budget: 64 MB, not the disk's terabytes and not zero.
    let told =
        process::run("stat", &["-f".as_ref(), "-c".as_ref(), "%b %f %S".as_ref(), mount.point().as_os_str()]);
    let numbers: Vec<u64> = told.success().text().split_whitespace().map(|n| n.parse().unwrap()).collect();
    let (total, free) = (numbers[0] * numbers[2], numbers[1] * numbers[2]);
    assert!((60_000_000..=68_000_000).contains(&total), "{total}");
    assert!(free > 0 && free <= total, "{free} of {total}");

    // mtime is the dataset's date, so that backup tools and QGIS do not see a change at every mount.
    let age = std::time::SystemTime::now()
        .duration_since(fs::metadata(mount.tif("classes")).unwrap().modified().unwrap());
    assert!(age.unwrap().as_secs() > 3600, "mtime is not now");
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

fn find(folder: &Path, name: &str) -> bool {
    fs::read_dir(folder).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() { find(&path, name) } else { path.file_name().is_some_and(|file| file == name) }
    })
}
