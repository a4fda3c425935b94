//! Opening: what is refused, what fetches, what waits, what stays readable.

use super::*;
use crate::clms::ClmsError;
use crate::config::rules::NamePattern;
use crate::config::{Action, Rule};
use crate::fetch::failure::{Failure, FailureKind};
use crate::fetch::state::ProductState;
use crate::fetch::tests::fake::{unreachable, until};

fn errno(result: Result<OpenFile, VfsError>) -> i32 {
    result.unwrap_err().errno()
}

impl Mount {
    fn state(&self, path: &str) -> ProductState {
        self.vfs.engine().product_state(&self.key(path))
    }

    fn error(&self, path: &str) -> Option<String> {
        self.vfs.engine().progress(&self.key(path)).error
    }
}

#[tokio::test(start_paused = true)]
async fn opening_a_cold_file_fetches_it_and_gives_its_bytes() {
    let mount = Mount::new();
    let file = mount.open("clc2018/a/a.tif").await.unwrap();
    let bytes = read(&file);
    assert_eq!(&bytes[..4], b"II+\0");
    assert_eq!(
        mount.vfs.attributes(&mount.node("clc2018/a/a.tif").unwrap()).unwrap().size,
        bytes.len() as u64
    );
    let mut part = [0; 7];
    assert_eq!(file.read_at(&mut part, 3).unwrap(), 7);
    assert_eq!(part, bytes[3..10]);
    assert_eq!(file.read_at(&mut part, file.size + 5).unwrap(), 0);
    assert_eq!(mount.house.service.orders(), 1);
}

#[tokio::test(start_paused = true)]
async fn fifty_opens_of_different_files_of_a_product_cost_one_order() {
    let mount = Arc::new(Mount::new());
    let names = ["a.tif", "a.zarr/zarr.json", "a.zarr/.zattrs", "a.zarr/.zgroup", "a.zarr/.zmetadata"];
    let readers: Vec<_> = (0..50)
        .map(|n| {
            let mount = Arc::clone(&mount);
            let path = format!("clc2018/a/{}", names[n % names.len()]);
            tokio::spawn(async move { mount.open(&path).await.map(|file| read(&file).len()) })
        })
        .collect();
    for reader in readers {
        assert!(reader.await.unwrap().unwrap() > 0);
    }
    assert_eq!((mount.house.service.orders(), mount.house.converter.conversions()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn every_way_of_writing_is_refused_and_orders_nothing() {
    let mount = Mount::new();
    for path in ["README.md", "clc2018/a/a.tif", "clc2018/a/item.json", ".clmsfs/version"] {
        for flags in
            [libc::O_WRONLY, libc::O_RDWR, libc::O_RDONLY | libc::O_TRUNC, libc::O_WRONLY | libc::O_APPEND]
        {
            assert_eq!(errno(mount.open_as(path, flags, &somebody("sh")).await), libc::EROFS, "{path}");
        }
    }
    for directory in ["clc2018", "clc2018/a", "clc2018/a/a.zarr", ".clmsfs"] {
        assert_eq!(errno(mount.open(directory).await), libc::EISDIR, "{directory}");
    }
    assert!(mount.house.service.calls().is_empty());
}

#[tokio::test(start_paused = true)]
async fn policy_decides_who_fetches() {
    let rule = |name: &str, action| Rule {
        process: vec![NamePattern::new(name).unwrap()],
        ..Rule::new(&format!("about {name}"), action)
    };
    let mount = Mount::with(House::new(), |options| {
        options.rules = vec![
            rule("rsync", Action::Deny),
            rule("tracker*", Action::EagainNoOrder),
            rule("nautilus", Action::Eagain),
        ];
    });
    let path = "clc2018/a/a.tif";
    assert_eq!(errno(mount.open_as(path, 0, &somebody("rsync")).await), libc::EACCES);
    let note = mount.error("clc2018/a").unwrap();
    assert!(note.contains("about rsync") && note.contains("clmsfs fetch"), "{note}");
    assert_eq!(errno(mount.open_as(path, 0, &somebody("tracker-extract")).await), libc::EAGAIN);
    assert!(mount.error("clc2018/a").unwrap().contains("scan"));
    assert_eq!(errno(mount.open_as(path, libc::O_NOATIME, &somebody("backup")).await), libc::EACCES);
    assert_eq!(mount.state("clc2018/a"), ProductState::Cold);
    assert!(mount.house.service.calls().is_empty());

    mount.house.service.order_gate.shut();
    assert_eq!(errno(mount.open_as(path, 0, &somebody("nautilus")).await), libc::EAGAIN);
    assert_eq!(mount.state("clc2018/a"), ProductState::Ordered, "but it is on its way");
    mount.house.service.order_gate.open();
    mount.open(path).await.unwrap();
    assert_eq!(mount.house.service.orders(), 1);
    // what is ready opens for everybody
    for process in ["rsync", "tracker-extract", "nautilus"] {
        mount.open_as(path, libc::O_NOATIME, &somebody(process)).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_with_o_nonblock_or_on_a_mount_that_says_eagain() {
    for (flags, on_miss) in [(libc::O_NONBLOCK, OnMiss::Block), (0, OnMiss::Eagain)] {
        let mount = Mount::with(House::new(), |options| options.on_miss = on_miss);
        let path = "clc2018/a/a.tif";
        assert_eq!(errno(mount.open_as(path, flags, &somebody("cat")).await), libc::EAGAIN);
        until("it arrives", || mount.state("clc2018/a") == ProductState::Ready).await;
        mount.open_as(path, flags, &somebody("cat")).await.unwrap();
        assert_eq!(mount.house.service.orders(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn patience_ends_and_the_fetch_goes_on() {
    let mount = Mount::with(House::new(), |options| options.block_timeout = Some(Duration::from_secs(30)));
    mount.house.service.order_gate.shut();
    let before = tokio::time::Instant::now();
    assert_eq!(errno(mount.open("clc2018/a/a.tif").await), libc::ETIMEDOUT);
    assert_eq!(before.elapsed().as_secs(), 30);
    assert!(mount.state("clc2018/a").is_under_way());
    mount.house.service.order_gate.open();
    until("it arrives", || mount.state("clc2018/a") == ProductState::Ready).await;
    assert_eq!(mount.house.service.orders(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_gives_up_does_not_end_the_fetch() {
    let mount = Mount::new();
    mount.house.service.order_gate.shut();
    let wait = mount.open("clc2018/a/a.tif");
    assert!(tokio::time::timeout(Duration::from_secs(1), wait).await.is_err());
    mount.house.service.order_gate.open();
    until("it arrives", || mount.state("clc2018/a") == ProductState::Ready).await;
}

#[test]
fn the_table_of_errnos() {
    let fetch = |kind| VfsError::Fetch(Failure::new(kind, String::new())).errno();
    for (kind, errno) in [
        (FailureKind::Credentials, libc::EACCES),
        (FailureKind::NoSpace, libc::ENOSPC),
        (FailureKind::Offline, libc::ENETDOWN),
        (FailureKind::Service, libc::EIO),
        (FailureKind::Package, libc::EIO),
        (FailureKind::Local, libc::EIO),
        (FailureKind::Disk, libc::EIO),
        (FailureKind::Cancelled, libc::ECANCELED),
    ] {
        assert_eq!(fetch(kind), errno, "{kind:?}");
    }
    for (error, errno) in [
        (VfsError::NotFound, libc::ENOENT),
        (VfsError::NotADirectory, libc::ENOTDIR),
        (VfsError::IsADirectory, libc::EISDIR),
        (VfsError::ReadOnly, libc::EROFS),
        (VfsError::NoAttribute, libc::ENODATA),
        (VfsError::NoSuchNamespace, libc::EOPNOTSUPP),
        (VfsError::Denied(String::new()), libc::EACCES),
        (VfsError::NotReady(String::new()), libc::EAGAIN),
        (VfsError::TimedOut, libc::ETIMEDOUT),
        (VfsError::Interrupted, libc::EINTR),
        (VfsError::Local(String::new()), libc::EIO),
    ] {
        assert_eq!(error.errno(), errno, "{error:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_fetch_fails_the_open_and_the_next_one_at_once() {
    for (error, expected) in [
        (ClmsError::NoCredentials, libc::EACCES),
        (unreachable(), libc::ENETDOWN),
        (ClmsError::Refused { status: 400, msg: "no".to_owned() }, libc::EIO),
    ] {
        let mount = Mount::new();
        mount.house.service.world().searches = vec![Some(error); 3].into();
        for _ in 0..3 {
            assert_eq!(errno(mount.open("clc2018/a/a.tif").await), expected);
        }
        assert_eq!(mount.house.service.searches(), 1, "the same answer is given again for a while");
        assert!(mount.error("clc2018/a").is_some());
    }
    let mut house = House::new();
    house.budget = 1 << 20;
    house.service.world().package = crate::fetch::tests::fake::package(2 << 20);
    assert_eq!(errno(Mount::with(house, |_| {}).open("clc2018/a/a.tif").await), libc::ENOSPC);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_fetch_and_an_ending_mount_wake_the_reader() {
    for end in [true, false] {
        let mount = Arc::new(Mount::new());
        mount.house.service.order_gate.shut();
        let reader = tokio::spawn({
            let mount = Arc::clone(&mount);
            async move { errno(mount.open("clc2018/a/a.tif").await) }
        });
        until("it is ordered", || mount.house.service.orders() == 1).await;
        if end {
            mount.vfs.engine().shut_down().await;
        } else {
            mount.vfs.engine().cancel(&mount.key("clc2018/a"));
        }
        assert_eq!(reader.await.unwrap(), libc::ECANCELED);
    }
}

#[tokio::test(start_paused = true)]
async fn the_order_budget_says_eagain_with_the_reason() {
    let mut house = House::new();
    house.options.orders_per_hour = 1;
    let mount = Mount::with(house, |_| {});
    mount.open("clc2018/a/a.tif").await.unwrap();
    assert_eq!(errno(mount.open("clc2018/b/b.tif").await), libc::EAGAIN);
    let node = mount.node("clc2018/b/b.tif").unwrap();
    let error = mount.vfs.xattr(&node, "user.clmsfs.error").unwrap();
    assert!(error.contains("order budget"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn an_open_file_is_not_evicted_and_outlives_a_quarantine() {
    let mount = Mount::new();
    let tif = mount.open("clc2018/a/a.tif").await.unwrap();
    let chunk = mount.open("clc2018/a/a.zarr/band/0/0").await.unwrap();
    let (whole, part) = (read(&tif), read(&chunk));
    let (inventory, key) = (mount.vfs.engine().inventory(), mount.key("clc2018/a"));
    assert!(inventory.evict(&key).is_err(), "it is being read");
    inventory.quarantine(&inventory.peek(&key).unwrap());
    mount.vfs.close_view(&key);
    assert_eq!(mount.state("clc2018/a"), ProductState::Cold);
    assert_eq!((read(&tif), read(&chunk)), (whole.clone(), part));
    // the same product again, beside the old open file
    let again = mount.open("clc2018/a/a.tif").await.unwrap();
    assert_ne!(again.generation(), tif.generation());
    drop((tif, chunk));
    assert!(inventory.evict(&key).is_err(), "leases of the old one do not count for the new one");
    assert_eq!(read(&again), whole);
    drop(again);
    inventory.evict(&key).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_view_of_an_earlier_publication_is_not_shown() {
    let mount = Mount::new();
    mount.open("clc2018/a/a.tif").await.unwrap();
    let key = mount.key("clc2018/a");
    // the news of the eviction may come late, or be lost among many
    mount.vfs.engine().inventory().evict(&key).unwrap();
    mount.house.converter.side.store(1100, std::sync::atomic::Ordering::Relaxed);
    let file = mount.open("clc2018/a/a.tif").await.unwrap();
    let raster = mount.house.dir.path().join("rasters").join(key.as_str()).join("a/c/0/0");
    assert!(read(&file) == std::fs::read(raster).unwrap(), "the bytes of the new publication, all of them");
    mount.node("clc2018/a/a.zarr/band/2/2").unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_damaged_entry_is_thrown_away_and_fetched_anew() {
    let mount = Mount::new();
    mount.fetch("clc2018/a").await;
    let entry = mount.house.dir.path().join("rasters").join(mount.key("clc2018/a").as_str());
    let raster = std::fs::File::options().write(true).open(entry.join("a/c/0/0")).unwrap();
    raster.set_len(raster.metadata().unwrap().len() - 1).unwrap();
    let listed = mount.vfs.children(&mount.node("clc2018/a").unwrap()).unwrap();
    assert_eq!(mount.state("clc2018/a"), ProductState::Cold, "the first look finds it");
    assert!(listed.iter().all(|child| mount.vfs.attributes(&child.node).is_ok()), "all names lead somewhere");
    assert_eq!(mount.vfs.attributes(&mount.node("clc2018/a/a.tif").unwrap()).unwrap().size, 0);
    assert!(!read(&mount.open("clc2018/a/a.tif").await.unwrap()).is_empty());
    assert_eq!(mount.house.converter.conversions(), 2);
}

#[tokio::test(start_paused = true)]
async fn views_of_what_left_the_cache_can_be_closed_all_at_once() {
    let mount = Mount::new();
    drop(mount.open("clc2018/a/a.tif").await.unwrap());
    let deleted = || {
        let files = std::fs::read_dir("/proc/self/fd").unwrap();
        let targets = files.filter_map(|file| std::fs::read_link(file.unwrap().path()).ok());
        targets
            .filter(|path| {
                path.starts_with(mount.house.dir.path()) && path.to_string_lossy().ends_with("(deleted)")
            })
            .count()
    };
    mount.vfs.engine().inventory().evict(&mount.key("clc2018/a")).unwrap();
    assert!(deleted() > 0, "its view keeps them open");
    mount.vfs.close_all_views();
    assert_eq!(deleted(), 0);
}

#[tokio::test(start_paused = true)]
async fn live_files_are_made_anew_and_documents_are_not_live() {
    let mount = Mount::new();
    let version = mount.open(".clmsfs/version").await.unwrap();
    assert!(version.live && read(&version) == b"1\n");
    assert!(!mount.open("README.md").await.unwrap().live);
}
