#![allow(clippy::unwrap_used)]

use std::io::{Cursor, Write};

use proptest::prelude::*;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::*;

type Content = Vec<(String, Vec<u8>)>;

/// Gives few bytes at a time, as a network does.
struct Trickle<'a>(&'a [u8]);

impl Read for Trickle<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = buffer.len().min(7);
        self.0.read(&mut buffer[..length])
    }
}

/// What a package was unpacked to, and of how many members the files were unpacked ahead.
struct Room {
    folder: tempfile::TempDir,
    members: Vec<Packed>,
    ended: Result<(), IngestError>,
}

impl Room {
    /// Unpacks ahead.
    fn follow(bytes: &[u8], limits: &Limits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let early = folder.path().join("ahead");
        fs::create_dir(&early).unwrap();
        let mut members = Vec::new();
        let mut tell = |told| {
            if let Told::Unpacked(packed) = told {
                members.push(packed);
            }
        };
        let ended = unpack_ahead(Trickle(bytes), bytes.len() as u64, &early, limits, &mut tell);
        assert_eq!(fs::read_dir(early).unwrap().count(), members.len(), "nothing half done stays");
        Self { folder, members, ended }
    }

    /// Unpacks by the directory, with what there is.
    fn unpack(&self, bytes: &[u8], limits: &Limits) -> Result<Content, IngestError> {
        let path = |name: &str| self.folder.path().join(name);
        fs::write(path("package.zip"), bytes).unwrap();
        fs::create_dir(path("out")).unwrap();
        let (package, out, scratch) = (path("package.zip"), path("out"), path("scratch"));
        let ahead = Ahead::new(path("ahead"), &self.members);
        let files = package::unpack(&package, &out, &scratch, limits, false, ahead, &mut |_| {})?;
        Ok(files.into_iter().map(|file| (file.clone(), fs::read(out.join(file)).unwrap())).collect())
    }

    /// How many files wait for the directory.
    fn left(&self) -> usize {
        fs::read_dir(self.folder.path().join("ahead")).unwrap().count()
    }
}

/// Asserts that unpacking ahead makes no difference; gives how many files were unpacked ahead, and how many of them were taken.
fn makes_no_difference(bytes: &[u8], limits: &Limits) -> (usize, usize) {
    let nothing = Room::follow(b"", limits);
    let room = Room::follow(bytes, limits);
    assert_eq!(room.unpack(bytes, limits), nothing.unpack(bytes, limits));
    (room.members.len(), room.members.len() - room.left())
}

fn check(bytes: &[u8]) -> (usize, usize) {
    makes_no_difference(bytes, &Limits::default())
}

fn stored() -> SimpleFileOptions {
    SimpleFileOptions::default().compression_method(CompressionMethod::Stored)
}

fn deflated() -> SimpleFileOptions {
    SimpleFileOptions::default()
}

fn zip_of(files: &[(&str, &[u8], SimpleFileOptions)]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content, options) in files {
        if let Some(folder) = name.strip_suffix('/') {
            writer.add_directory(folder, *options).unwrap();
            continue;
        }
        writer.start_file(*name, *options).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// A zip whose writer could not go back: lengths are behind the members.
fn streamed(files: &[(&str, &[u8], SimpleFileOptions)]) -> Vec<u8> {
    let mut writer = ZipWriter::new_stream(Vec::new());
    for (name, content, options) in files {
        writer.start_file(*name, *options).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn words(seed: u32) -> Vec<u8> {
    (0..3000u32).map(|at| (at.wrapping_mul(seed) >> 5) as u8 & 0x3f).collect()
}

/// Name, content and options of a member.
type File<'a> = (&'a str, &'a [u8], SimpleFileOptions);

/// A package as the service makes it: inner zips that are stored below `Results/`.
fn package_of(pack: fn(&[File<'_>]) -> Vec<u8>) -> Vec<u8> {
    let (a, b, c) = (words(7), words(9), words(11));
    let first = pack(&[("p/DATA/a.tif", &a, deflated()), ("p/DATA/b.tif", &b, deflated())]);
    let second = pack(&[("q/c.tif", &c, deflated()), ("q/c.xml", b"<x/>", deflated())]);
    zip_of(&[("Results/p.zip", &first, stored()), ("Results/q.zip", &second, stored())])
}

#[test]
fn the_services_packages_are_unpacked_ahead() {
    assert_eq!(check(&package_of(zip_of)), (4, 4));
    // what the directory confirms is taken and not unpacked once more
    let bytes = package_of(zip_of);
    let room = Room::follow(&bytes, &Limits::default());
    assert_eq!(room.ended, Ok(()));
    fs::write(room.folder.path().join("ahead/1"), b"from ahead").unwrap();
    let files = room.unpack(&bytes, &Limits::default()).unwrap();
    assert_eq!(files[1], ("p/DATA/b.tif".to_owned(), b"from ahead".to_vec()));
}

#[test]
fn all_kinds_of_zips_are_unpacked_or_left() {
    let (a, b) = (words(7), words(9));
    let plain = [("x/", &b""[..], stored()), ("x/a.tif", &a, deflated()), ("x/b.tif", &b, stored())];
    assert_eq!(check(&zip_of(&plain)), (2, 2));
    let large = [("a.tif", &a[..], deflated().large_file(true)), ("b.tif", &b, stored().large_file(true))];
    assert_eq!(check(&zip_of(&large)), (2, 2), "zip64");
    assert_eq!(check(&package_of(streamed)), (4, 4), "lengths behind the members");
    let deep = zip_of(&[("deep/a.tif", &a, deflated())]);
    let inner = zip_of(&[("i/deep.zip", &deep, stored()), ("i/b.tif", &b, deflated())]);
    assert_eq!(check(&zip_of(&[("Results/i.zip", &inner, stored())])), (2, 2), "a zip in an inner zip");
    assert_eq!(check(&zip_of(&[("Results/i.zip", &inner, deflated())])), (1, 1), "a deflated inner zip");
    // deflate64 (of a zip that says so and is none): the others are unpacked all the same
    let mut other = zip_of(&[("a.tif", &a, deflated()), ("b.tif", &b, deflated())]);
    other[8] = 9;
    assert_eq!(check(&other), (1, 1));
    // a stored member whose length is behind it: nobody knows where it ends
    let mut endless = zip_of(&[("a.tif", &a, stored()), ("b.tif", &b, deflated())]);
    endless[6] |= 8;
    assert_eq!(check(&endless), (0, 0));
    for nonsense in [&b""[..], b"PK", b"<html>", b"\x1f\x8b\x08"] {
        assert_eq!(check(nonsense).0, 0);
    }
}

#[test]
fn local_headers_that_lie_change_nothing() {
    let (a, b) = (words(7), words(9));
    let honest =
        zip_of(&[("x/a.tif", &a, deflated()), ("x/b.tif", &b, deflated()), ("x/c.tif", &a, stored())]);
    let lie = |at: usize, bytes: &[u8]| {
        let mut lying = honest.clone();
        lying[at..at + bytes.len()].copy_from_slice(bytes);
        check(&lying)
    };
    assert_eq!(check(&honest), (3, 3));
    assert_eq!(lie(14, b"lies"), (3, 3), "a checksum: the directory's is what counts");
    assert_eq!(lie(22, b"lies"), (3, 3), "a size");
    assert_eq!(lie(30, b"../../a"), (3, 3), "a name");
    assert_eq!(lie(8, &[0, 0]).1, 2, "a method");
    assert_eq!(lie(18, &[200, 0, 0, 0]).1, 1, "a length that is too short");
    assert_eq!(lie(18, &[255, 255, 0, 0]).1, 1, "a length that is too long");
    assert_eq!(lie(33, b".zip"), (3, 3), "a name that says it is a zip, and is not stored");
}

#[test]
fn a_directory_that_says_otherwise_is_believed() {
    let (a, b) = (words(7), words(9));
    let honest = zip_of(&[("x/a.tif", &a, deflated()), ("x/b.tif", &b, deflated())]);
    let directory = honest.windows(4).position(|four| four == b"PK\x01\x02").unwrap();
    for (place, what) in [(10, "method"), (16, "checksum"), (20, "length"), (24, "size"), (42, "place")] {
        let mut changed = honest.clone();
        changed[directory + place] ^= 1;
        let (unpacked, taken) = check(&changed);
        assert_eq!(unpacked, 2, "{what}");
        assert!(taken < 2, "{what}");
    }
    // two members that are the same bytes: the second is unpacked
    let mut twice = honest.clone();
    let second =
        directory + 4 + honest[directory + 4..].windows(4).position(|four| four == b"PK\x01\x02").unwrap();
    let first = honest[directory + 16..directory + 28].to_vec();
    twice[second + 16..second + 28].copy_from_slice(&first);
    let place = honest[directory + 42..directory + 46].to_vec();
    twice[second + 42..second + 46].copy_from_slice(&place);
    assert_eq!(check(&twice), (2, 1));
}

#[test]
fn limits_hold_ahead_too() {
    let zeros = vec![0; 80 << 20];
    let bomb = zip_of(&[("a.tif", &[1; 100], deflated()), ("b.tif", &zeros, deflated())]);
    let limits = Limits { ratio: 10, ..Limits::default() };
    let room = Room::follow(&bomb, &limits);
    assert!(matches!(room.ended, Err(IngestError::TooLarge { .. })), "{:?}", room.ended);
    assert_eq!((room.members.len(), makes_no_difference(&bomb, &limits)), (1, (1, 0)));
    let limits = Limits { members: 2, ..Limits::default() };
    let room = Room::follow(
        &zip_of(&[("a", b"1", stored()), ("b", b"2", stored()), ("c", b"3", stored())]),
        &limits,
    );
    assert_eq!(room.ended, Err(IngestError::TooLarge { what: "members".to_owned(), limit: 2 }));
}

/// Nothing that was unpacked ahead gets in by another way.
#[test]
fn what_is_refused_by_its_directory_is_refused() {
    let mut bytes = zip_of(&[("a.tif", &words(3), deflated()), ("xx/b.tif", &words(5), deflated())]);
    let names: Vec<usize> = (0..bytes.len()).filter(|&at| bytes[at..].starts_with(b"xx/")).collect();
    assert_eq!(names.len(), 2);
    names.into_iter().for_each(|at| bytes[at..at + 2].copy_from_slice(b".."));
    assert_eq!(check(&bytes), (2, 0));
}

proptest! {
    #[test]
    fn what_is_unpacked_ahead_never_changes_what_comes_out(
        streams in any::<bool>(),
        cut in 0usize..60,
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        headers in prop::collection::vec((0usize..5, 4usize..30, any::<u8>()), 0..3),
    ) {
        let mut bytes = if streams { package_of(streamed) } else { package_of(zip_of) };
        for (at, value) in flips {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        // headers are few of the bytes, and what matters most
        let places: Vec<usize> = bytes.windows(2).enumerate().filter(|(_, two)| *two == b"PK").map(|(at, _)| at).collect();
        for (number, offset, value) in headers {
            if let Some(at) = places.get(number * 3).map(|at| at + offset).filter(|at| *at < bytes.len()) {
                bytes[at] = value;
            }
        }
        bytes.truncate(bytes.len() - cut / 2);
        let limits = Limits { unpacked_bytes: 1 << 20, ..Limits::default() };
        makes_no_difference(&bytes, &limits);
    }
}
