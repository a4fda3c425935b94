//! Names, kinds, sizes, times, attributes: cold, ready, evicted, refreshed. None of it costs a call of the service.

use std::time::UNIX_EPOCH;

use super::*;

#[tokio::test(start_paused = true)]
async fn a_cold_tree_shows_final_names_and_costs_nothing() {
    let mount = Mount::new();
    assert_eq!(
        mount.paths(),
        [
            "README.md",
            "catalog.json",
            ".clmsfs/",
            ".clmsfs/version",
            "clc2018/",
            "clc2018/collection.json",
            "clc2018/metadata.json",
            "clc2018/a/",
            "clc2018/a/item.json",
            "clc2018/a/a.tif",
            "clc2018/a/a.zarr/",
            "clc2018/a/a.zarr/.zgroup",
            "clc2018/a/a.zarr/.zattrs",
            "clc2018/a/a.zarr/.zmetadata",
            "clc2018/a/a.zarr/zarr.json",
            "clc2018/b/",
            "clc2018/b/item.json",
            "clc2018/b/b.tif",
            "clc2018/b/b.zarr/",
            "clc2018/b/b.zarr/.zgroup",
            "clc2018/b/b.zarr/.zattrs",
            "clc2018/b/b.zarr/.zmetadata",
            "clc2018/b/b.zarr/zarr.json",
            "clc2018/v/",
            "clc2018/v/item.json",
            "clc2018/v/v.gpkg",
            "slope/",
            "slope/collection.json",
            "slope/metadata.json",
            "slope/s/",
            "slope/s/item.json",
            "slope/s/s.tif",
            "slope/s/s.zarr/",
            "slope/s/s.zarr/.zgroup",
            "slope/s/s.zarr/.zattrs",
            "slope/s/s.zarr/.zmetadata",
            "slope/s/s.zarr/zarr.json",
        ]
    );
    for (_, node, _) in mount.all() {
        for name in mount.vfs.list_xattrs(&node).unwrap() {
            mount.vfs.xattr(&node, &name).unwrap();
        }
    }
    mount.vfs.space();
    assert!(mount.house.service.calls().is_empty(), "listing never touches the network");
}

#[tokio::test(start_paused = true)]
async fn a_ready_product_shows_what_it_holds_and_the_others_stay_cold() {
    let mount = Mount::new();
    let cold = mount.paths();
    mount.fetch("clc2018/a").await;
    let ready = mount.paths();
    for path in cold.iter().filter(|path| !path.starts_with("clc2018/a/")) {
        assert!(ready.contains(path), "{path}");
    }
    for path in cold.iter().filter(|path| path.starts_with("clc2018/a/")) {
        assert!(ready.contains(path), "a name that was shown before stays: {path}");
    }
    for path in [
        "clc2018/a/a.tif.aux.xml",
        "clc2018/a/a.zarr/band/",
        "clc2018/a/a.zarr/x/0",
        "clc2018/a/a.zarr/ovr_2x/",
    ] {
        assert!(ready.iter().any(|found| found == path), "{path} in {ready:?}");
    }
    assert!(!ready.iter().any(|path| path.starts_with("clc2018/b/b.zarr/band")));
}

#[tokio::test(start_paused = true)]
async fn cold_files_have_a_provisional_size_of_zero_and_ready_ones_their_true_size() {
    let mount = Mount::new();
    let content = |path: &str| path.starts_with("clc2018/a/") && !path.ends_with("item.json");
    for (path, node, kind) in mount.all() {
        let attributes = mount.vfs.attributes(&node).unwrap();
        if content(&path) && kind == Kind::File {
            assert_eq!((attributes.size, attributes.provisional), (0, true), "{path}");
        } else if kind == Kind::File
            && !path.starts_with(".clmsfs")
            && mount.vfs.open(&node, 0).unwrap().is_some()
        {
            let file = mount.vfs.open(&node, libc::O_RDONLY).unwrap().unwrap();
            assert_eq!((attributes.size, read(&file).len() as u64), (file.size, file.size), "{path}");
            assert!(attributes.provisional, "{path}");
        }
    }
    mount.fetch("clc2018/a").await;
    let mut files = 0;
    for (path, node, kind) in mount.all() {
        if !content(&path) {
            continue;
        }
        let attributes = mount.vfs.attributes(&node).unwrap();
        assert_eq!((attributes.trust, attributes.provisional), (HOUR, false), "{path}");
        if kind == Kind::File {
            files += 1;
            let file = mount.vfs.open(&node, libc::O_RDONLY).unwrap().unwrap();
            assert!(attributes.size > 0, "{path}");
            assert_eq!((attributes.size, read(&file).len() as u64), (file.size, file.size), "{path}");
        }
    }
    assert!(files > 20);
}

#[tokio::test(start_paused = true)]
async fn files_are_as_old_as_their_dataset() {
    let mount = Mount::new();
    mount.fetch("clc2018/a").await;
    let published = UNIX_EPOCH + Duration::from_secs(1_592_042_400);
    for (path, node, _) in mount.all() {
        let age = mount.vfs.attributes(&node).unwrap().modified.duration_since(published).unwrap();
        assert_eq!(age.as_secs(), 0, "{path}");
    }
}

/// The kernel compares a directory's time with that of the names that it keeps.
#[tokio::test(start_paused = true)]
async fn a_directory_with_other_names_has_another_time() {
    let mount = Mount::new();
    let time = |path: &str| mount.vfs.attributes(&mount.node(path).unwrap()).unwrap().modified;
    let paths = ["clc2018", "clc2018/a", "clc2018/a/a.zarr"];
    let cold = paths.map(time);
    assert_eq!(cold, paths.map(time));
    mount.fetch("clc2018/a").await;
    let ready = paths.map(time);
    assert!(cold[0] == ready[0] && cold[1] != ready[1] && cold[2] != ready[2], "{cold:?} {ready:?}");
    mount.vfs.show(mount.vfs.catalog());
    let shown = paths.map(time);
    assert!((0..3).all(|at| shown[at] != ready[at]), "{shown:?} {ready:?}");
}

#[tokio::test(start_paused = true)]
async fn item_json_tells_cold_from_ready() {
    let mount = Mount::new();
    let item = || {
        let node = mount.node("clc2018/a/item.json").unwrap();
        let file = mount.vfs.open(&node, 0).unwrap().unwrap();
        serde_json::from_slice::<Value>(&read(&file)).unwrap()
    };
    assert_eq!(item()["properties"]["clms:state"], "cold");
    mount.fetch("clc2018/a").await;
    assert_eq!(item()["properties"]["clms:state"], "ready");
    mount.vfs.engine().inventory().evict(&mount.key("clc2018/a")).unwrap();
    assert_eq!(item()["properties"]["clms:state"], "cold");
}

#[tokio::test(start_paused = true)]
async fn attributes_tell_what_a_product_is_doing() {
    let mount = Mount::new();
    let get = |path: &str, name: &str| {
        let node = mount.node(path).unwrap();
        mount.vfs.xattr(&node, &format!("user.clmsfs.{name}")).ok()
    };
    assert_eq!(get("clc2018/a/a.tif", "state").as_deref(), Some("cold"));
    assert_eq!(get("clc2018/a", "size").as_deref(), Some("1300000"), "as the catalogue says");
    assert_eq!(get("clc2018/a", "data_id").as_deref(), Some("uid-of-clc2018/id-of-a"));
    assert_eq!(get("clc2018", "state").as_deref(), Some("cold"));
    assert_eq!(get("clc2018", "products").as_deref(), Some("3"));
    assert_eq!(get("clc2018/a", "task_id"), None);
    assert_eq!(get("README.md", "state"), None);

    mount.house.service.half_gate.shut();
    let ticket = mount.vfs.engine().request(&mount.target("clc2018/a"), 0, false).unwrap();
    crate::fetch::tests::fake::until("it is under way", || {
        get("clc2018/a", "progress").as_deref() == Some("50 %")
    })
    .await;
    assert_eq!(get("clc2018/a/item.json", "state").as_deref(), Some("downloading"));
    assert_eq!(get("clc2018/collection.json", "state").as_deref(), Some("downloading"));
    assert_eq!(get("clc2018/a", "task_id").as_deref(), Some("1001"));
    mount.house.service.half_gate.open();
    ticket.wait().await.unwrap();

    assert_eq!(get("clc2018/a/a.zarr/band", "state").as_deref(), Some("ready"));
    assert_eq!(get("clc2018/a", "progress").as_deref(), Some("100 %"));
    let size = mount.vfs.engine().inventory().size(&mount.key("clc2018/a")).unwrap();
    assert_eq!(get("clc2018/a", "size"), Some(size.to_string()));
    assert_eq!(get("clc2018", "state").as_deref(), Some("ready"));
}

#[tokio::test(start_paused = true)]
async fn only_the_pin_can_be_set() {
    let mount = Mount::new();
    let (a, dataset) = (mount.node("clc2018/a/a.tif").unwrap(), mount.node("clc2018").unwrap());
    let set = |node: &Node, name: &str, value: &[u8]| mount.vfs.set_xattr(node, name, value);
    let pinned = || mount.vfs.xattr(&a, "user.clmsfs.pinned").unwrap();
    assert_eq!(pinned(), "0");
    set(&a, "user.clmsfs.pinned", b"1").unwrap();
    assert_eq!(pinned(), "1");
    mount.fetch("clc2018/a").await;
    assert!(mount.vfs.engine().inventory().evict(&mount.key("clc2018/a")).is_err());
    set(&a, "user.clmsfs.pinned", b"0").unwrap();
    assert_eq!(pinned(), "0");
    assert_eq!(set(&a, "user.clmsfs.pinned", b"perhaps").unwrap_err().errno(), libc::EINVAL);
    for (node, name) in [(&a, "user.clmsfs.state"), (&a, "user.other"), (&dataset, "user.clmsfs.pinned")] {
        assert_eq!(set(node, name, b"1"), Err(VfsError::ReadOnly));
    }
    assert_eq!(mount.vfs.xattr(&a, "user.other"), Err(VfsError::NoAttribute));
    assert_eq!(mount.vfs.xattr(&a, "security.selinux"), Err(VfsError::NoSuchNamespace));
}

#[tokio::test(start_paused = true)]
async fn chunks_of_an_evicted_zarr_are_an_error_and_never_missing() {
    let mount = Mount::new();
    mount.fetch("clc2018/a").await;
    let inside: Vec<_> =
        mount.all().into_iter().filter(|(path, ..)| path.starts_with("clc2018/a/a.zarr/")).collect();
    let key = mount.key("clc2018/a");
    mount.vfs.engine().inventory().evict(&key).unwrap();
    mount.vfs.close_view(&key);
    let mut gone = 0;
    for (path, node, kind) in inside {
        if path.matches('/').count() == 3 && kind == Kind::File {
            // the cold root documents: opening one fetches the product again
            assert_eq!(mount.vfs.attributes(&node).unwrap().size, 0, "{path}");
            continue;
        }
        gone += 1;
        let missing = Node::Inside(
            node.product().unwrap().clone(),
            format!("{path}/9/9").replacen("clc2018/a/", "", 1).into(),
            Edition::NONE,
        );
        for error in [
            mount.node(&path).unwrap_err(),
            mount.vfs.attributes(&node).unwrap_err(),
            mount.vfs.attributes(&missing).unwrap_err(),
            mount.vfs.open_cold(&node, 0, &somebody("cat")).unwrap_err(),
        ] {
            assert_eq!(error.errno(), libc::EIO, "{path}: {error}");
        }
    }
    assert!(gone > 10);
    for absent in ["clc2018/a/a.zarr/.zarray", "clc2018/a/nothing", "clc2018/nothing", "nothing"] {
        assert_eq!(mount.node(absent).unwrap_err(), VfsError::NotFound, "{absent}");
    }
    assert_eq!(mount.house.service.orders(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_chunk_directory_of_an_evicted_zarr_is_not_listed_as_something_else() {
    let mount = Mount::new();
    mount.fetch("clc2018/a").await;
    let band = mount.node("clc2018/a/a.zarr/band").unwrap();
    mount.vfs.engine().inventory().evict(&mount.key("clc2018/a")).unwrap();
    // readers of Zarr take "not a directory" for an array without chunks
    assert_eq!(mount.vfs.children(&band).unwrap_err().errno(), libc::EIO);
    let tif = mount.node("clc2018/a/a.tif").unwrap();
    assert_eq!(mount.vfs.children(&tif).unwrap_err(), VfsError::NotADirectory);
}

#[tokio::test(start_paused = true)]
async fn a_vanished_dataset_is_not_found_and_a_new_one_is() {
    let mount = Mount::new();
    let before = mount.all();
    mount.fetch("slope/s").await;
    let (open, node) = (mount.open("slope/s/s.tif").await.unwrap(), mount.node("slope/s/s.tif").unwrap());
    let whole = read(&open);
    let mut records = records();
    records[1] = dataset("slope2", &[file("t", "Raster")]);
    mount.vfs.show(catalog(&records));
    for (path, node, _) in before.iter().filter(|(path, ..)| path.starts_with("slope")) {
        assert_eq!(mount.node(path).unwrap_err(), VfsError::NotFound, "{path}");
        assert_eq!(mount.vfs.attributes(node), Err(VfsError::NotFound), "{path}");
        assert!(mount.vfs.children(node).is_err(), "{path}");
        assert!(mount.vfs.open(node, 0).is_err(), "{path}");
    }
    assert_eq!(mount.vfs.open_cold(&node, 0, &somebody("cat")).unwrap_err(), VfsError::NotFound);
    assert_eq!(read(&open), whole, "what is open stays readable");
    mount.node("slope2/t/t.tif").unwrap();
    let root = mount.vfs.open(&Node::RootFile(RootFile::Catalog), 0).unwrap().unwrap();
    assert!(String::from_utf8(read(&root)).unwrap().contains("slope2"));
    let metadata = Node::DatasetFile("slope2".into(), DatasetFile::Metadata);
    assert_eq!(mount.vfs.attributes(&metadata).unwrap().kind, Kind::File);
}

/// The catalogue in which the name of `a` is that of another product, whose id comes first; `a` itself is `a~2`.
fn renamed() -> Arc<Catalog> {
    let mut other = file("a", "Raster");
    other["@id"] = json!("an-id-before-that-of-a");
    let mut records = records();
    records[0] = dataset("clc2018", &[file("a", "Raster"), other]);
    catalog(&records)
}

#[tokio::test(start_paused = true)]
async fn a_name_that_another_product_has_now_leads_to_another_file() {
    let mount = Mount::new();
    let path = "clc2018/a/a.tif";
    let (open, node) = (mount.open(path).await.unwrap(), mount.node(path).unwrap());
    let (whole, ino) = (read(&open), mount.vfs.inodes.remember(node.clone(), path, 1));
    assert!(!mount.vfs.has_lost_its_name(&node));
    mount.vfs.show(renamed());
    assert!(mount.vfs.has_lost_its_name(&node));
    assert_eq!(mount.vfs.attributes(&node), Err(VfsError::Replaced));
    assert_eq!(mount.vfs.open(&node, 0).unwrap_err(), VfsError::Replaced);
    assert_eq!(mount.vfs.open_cold(&node, 0, &somebody("cat")).unwrap_err(), VfsError::Replaced);
    assert_eq!(read(&open), whole, "what is open stays readable");
    let now = mount.node(path).unwrap();
    assert_ne!(mount.vfs.inodes.remember(now.clone(), path, 1), ino);
    assert_eq!(mount.vfs.attributes(&now).unwrap().size, 0, "it is cold");
    let moved = mount.node("clc2018/a~2/a~2.tif").unwrap();
    assert_eq!(mount.vfs.attributes(&moved).unwrap().size, whole.len() as u64);
}

#[tokio::test(start_paused = true)]
async fn a_reader_whose_product_loses_its_name_meanwhile_is_told_to_look_it_up_anew() {
    let mount = Arc::new(Mount::new());
    mount.house.service.order_gate.shut();
    let waiting = Arc::clone(&mount);
    let reader = tokio::spawn(async move { waiting.open("clc2018/a/a.tif").await.map(|file| file.size) });
    crate::fetch::tests::fake::until("it is ordered", || mount.house.service.orders() == 1).await;
    mount.vfs.show(renamed());
    mount.house.service.order_gate.open();
    assert_eq!(reader.await.unwrap(), Err(VfsError::Replaced));
    assert_eq!(mount.house.service.orders(), 1, "nothing is ordered on its behalf");
}

#[tokio::test(start_paused = true)]
async fn a_description_of_the_catalogue_before_is_not_kept_for_the_present_one() {
    let mount = Mount::new();
    mount.fetch("slope/s").await;
    let before = mount.vfs.catalog();
    let mut records = records();
    records[1]["downloadable_files"]["items"][0]["year"] = json!("2019");
    mount.vfs.show(catalog(&records));
    // somebody who took the catalogue just before it changed
    let old = mount.vfs.description(before.find("slope/s").unwrap()).unwrap();
    let now = mount.vfs.description(mount.vfs.catalog().find("slope/s").unwrap()).unwrap();
    assert_ne!(old, now);
    assert_eq!(read(&mount.open("slope/s/item.json").await.unwrap()), *now);
}

#[tokio::test(start_paused = true)]
async fn files_have_no_children() {
    let mount = Mount::new();
    for path in ["README.md", ".clmsfs/version", "slope/collection.json", "slope/s/item.json"] {
        let node = mount.node(path).unwrap();
        assert_eq!(mount.vfs.children(&node).unwrap_err(), VfsError::NotADirectory, "{path}");
        assert_eq!(mount.vfs.child(&node, "x"), Err(VfsError::NotADirectory), "{path}");
    }
}
