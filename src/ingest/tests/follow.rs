//! Following a download in a child process.

use std::io::Write;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::child::{block_on, convert_in_child, package, program};
use super::*;
use crate::ingest::{AheadJob, Arrived, Packed, follow_with};

/// A package that arrives, and what is told of it.
struct Desk {
    shop: Workshop,
    bytes: Vec<u8>,
    pixels: Vec<u8>,
    job: AheadJob,
    arrived: watch::Sender<Arrived>,
}

impl Desk {
    fn new() -> Self {
        let shop = Workshop::new();
        let (package, pixels) = package(&shop);
        let bytes = fs::read(&package).unwrap();
        let job = shop.job(&package);
        let part = job.staging.join("package.part");
        fs::write(&part, b"").unwrap();
        let size = bytes.len() as u64;
        let job = AheadJob { package: part, size, staging: job.staging, limits: job.limits };
        Self { shop, bytes, pixels, job, arrived: watch::Sender::default() }
    }

    fn comes(&self, to: usize) {
        let mut part = fs::OpenOptions::new().append(true).open(&self.job.package).unwrap();
        let here = self.arrived.borrow().bytes as usize;
        part.write_all(&self.bytes[here..to]).unwrap();
        self.arrived.send_modify(|arrived| arrived.bytes = to as u64);
    }

    /// Waits until the follower has begun with the second member.
    fn second_begins(&self, is_over: impl Fn() -> bool) -> PathBuf {
        let second = self.job.staging.join("ahead/1");
        let began = Instant::now();
        while !second.exists() {
            if is_over() || began.elapsed() > Duration::from_secs(60) {
                self.arrived.send_modify(|arrived| arrived.is_void = true);
                panic!("the first member was not unpacked while the second arrived");
            }
            std::thread::yield_now();
        }
        second
    }

    fn follow(&self, room: impl FnMut(u64) -> bool + Send) -> Result<Vec<Packed>, IngestError> {
        block_on(follow_with(&program("follow"), self.job.clone(), self.arrived.subscribe(), room))
    }
}

/// The first member ends within the first part: it is complete before the rest has arrived.
#[test]
fn members_are_unpacked_as_they_come() {
    let desk = Desk::new();
    desk.comes(desk.bytes.len() * 3 / 4);
    let (members, second) = std::thread::scope(|scope| {
        let follow = scope.spawn(|| desk.follow(|_| true));
        let second = desk.second_begins(|| follow.is_finished());
        desk.comes(desk.bytes.len());
        desk.arrived.send_modify(|arrived| arrived.is_whole = true);
        (follow.join().unwrap().unwrap(), second)
    });
    assert_eq!(members.len(), 2);
    // marked, to see that it is taken
    fs::write(&second, b"<seen/>").unwrap();
    let mut job = desk.shop.job(&desk.job.package);
    job.ahead = members;
    let (meta, _) = convert_in_child(job).unwrap();
    check_raster(&desk.shop.entry(), &meta.rasters[0], &desk.pixels);
    assert_eq!(fs::read(desk.shop.entry().join("original/p/a.txt")).unwrap(), b"<seen/>");
    let left: Vec<_> =
        fs::read_dir(&desk.job.staging).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "the part and the entry: {left:?}");
}

#[test]
fn a_download_that_begins_anew_is_followed_no_more() {
    let desk = Desk::new();
    desk.comes(1000);
    desk.arrived.send_modify(|arrived| arrived.is_void = true);
    assert!(matches!(desk.follow(|_| true), Err(IngestError::Child { .. })));
    // also when it is complete by now
    let desk = Desk::new();
    desk.comes(desk.bytes.len());
    desk.arrived.send_modify(|arrived| (arrived.is_void, arrived.is_whole) = (true, true));
    assert!(matches!(desk.follow(|_| true), Err(IngestError::Child { .. })));
}

#[test]
fn without_room_nothing_is_written() {
    let desk = Desk::new();
    desk.comes(desk.bytes.len());
    let mut asked = Vec::new();
    let refused = desk.follow(|bytes| {
        asked.push(bytes);
        false
    });
    assert!(matches!(refused, Err(IngestError::Child { .. })), "{refused:?}");
    assert_eq!(asked.len(), 1);
    assert_eq!(fs::metadata(desk.job.staging.join("ahead/0")).unwrap().len(), 0);
}

#[test]
fn a_follower_that_dies_leaves_what_it_told() {
    let desk = Desk::new();
    desk.arrived.send_modify(|arrived| arrived.is_whole = true);
    let crashes = program("crash");
    let follow = follow_with(&crashes, desk.job.clone(), desk.arrived.subscribe(), |_| true);
    assert_eq!(block_on(follow), Ok(Vec::new()));
}
