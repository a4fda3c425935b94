#![allow(clippy::unwrap_used)]

use std::io::Cursor;
use std::io::Write;

use proptest::prelude::*;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::*;

struct Room {
    folder: tempfile::TempDir,
}

impl Room {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("out")).unwrap();
        Self { folder }
    }

    fn unpack(&self, bytes: &[u8], limits: &Limits) -> Result<Vec<String>, IngestError> {
        let package = self.folder.path().join("package.zip");
        fs::write(&package, bytes).unwrap();
        let out = self.folder.path().join("out");
        unpack(
            &package,
            &out,
            &self.folder.path().join("scratch"),
            limits,
            false,
            Ahead::default(),
            &mut |_| {},
        )
    }
}

fn try_unpack(bytes: &[u8]) -> Result<Vec<String>, IngestError> {
    Room::new().unpack(bytes, &Limits::default())
}

fn zip_of(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in files {
        writer.start_file(*name, SimpleFileOptions::default()).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// Replaces a name by another of the same length, everywhere in the zip.
fn rename(mut bytes: Vec<u8>, from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let places: Vec<usize> = bytes
        .windows(from.len())
        .enumerate()
        .filter(|(_, window)| *window == from.as_bytes())
        .map(|(at, _)| at)
        .collect();
    assert!(!places.is_empty());
    for at in places {
        bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
    }
    bytes
}

fn refused(bytes: &[u8]) -> String {
    match try_unpack(bytes) {
        Err(IngestError::UnsafeMember { reason, .. }) => reason,
        other => panic!("expected a refusal, got {other:?}"),
    }
}

#[test]
fn slips_are_refused() {
    let plain = || zip_of(&[("aa/bbbb/cc.tif", b"x")]);
    for name in ["../../../cc.tif", "..\\..\\..\\c.tif", "aa/../../cc.tif"] {
        let name = &format!("{name:x<14}")[..14];
        assert!(refused(&rename(plain(), "aa/bbbb/cc.tif", name)).contains("leaves"), "{name}");
    }
    for name in ["/a/bbbb/cc.tif", "\\a\\bbbb\\cc.tif", "C:/bbbb/cc.tif", "c:\\bbbb\\cc.tif"] {
        assert!(
            refused(&rename(plain(), "aa/bbbb/cc.tif", &format!("{name:x<14}")[..14])).contains("absolute"),
            "{name}"
        );
    }
    assert!(refused(&rename(plain(), "aa/bbbb/cc.tif", "aa/bb\nb/cc.tif")).contains("control"));
    assert!(refused(&rename(plain(), "aa/bbbb/cc.tif", "aa/bb\0b/cc.tif")).contains("control"));
}

#[test]
fn links_and_devices_are_refused() {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    writer.add_symlink("link", "/etc/passwd", SimpleFileOptions::default()).unwrap();
    assert!(refused(&writer.finish().unwrap().into_inner()).contains("symbolic"));
    // A character device: the same zip with another file type in the central directory.
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    writer.start_file("dev", SimpleFileOptions::default().unix_permissions(0o644)).unwrap();
    let mut bytes = writer.finish().unwrap().into_inner();
    let directory = bytes.windows(4).position(|window| window == b"PK\x01\x02").unwrap();
    let mode = (libc::S_IFCHR | 0o644) << 16;
    bytes[directory + 5] = 3;
    bytes[directory + 38..directory + 42].copy_from_slice(&mode.to_le_bytes());
    assert!(refused(&bytes).contains("device"));
}

#[test]
fn two_members_with_one_name_are_refused() {
    let twice = rename(zip_of(&[("a/x.tif", b"one"), ("a/y.tif", b"two")]), "a/y.tif", "a/x.tif");
    assert!(refused(&twice).contains("same name"));
    // The same after normalisation.
    let twice = rename(zip_of(&[("a/x.tif", b"one"), ("a/y.tif", b"two")]), "a/y.tif", "a\\x.tif");
    assert!(refused(&twice).contains("twice"));
    let both = zip_of(&[("a/b", b"file"), ("a/b/c", b"below a file")]);
    assert!(refused(&both).contains("folder and a file"));
}

#[test]
fn bombs_are_stopped() {
    let zeros = vec![0u8; 80 << 20];
    let bytes = zip_of(&[("a.tif", &zeros)]);
    let limits = Limits { ratio: 10, ..Limits::default() };
    let error = Room::new().unpack(&bytes, &limits).unwrap_err();
    assert!(matches!(&error, IngestError::TooLarge { what, .. } if what.contains("size")), "{error}");
    let limits = Limits { unpacked_bytes: 1 << 20, ..Limits::default() };
    let error = Room::new().unpack(&bytes, &limits).unwrap_err();
    assert_eq!(error, IngestError::TooLarge { what: "unpacked bytes".to_owned(), limit: 1 << 20 });
    let limits = Limits { members: 2, ..Limits::default() };
    let error = Room::new().unpack(&zip_of(&[("a", b""), ("b", b""), ("c", b"")]), &limits).unwrap_err();
    assert!(matches!(error, IngestError::TooLarge { limit: 2, .. }));
}

#[test]
fn an_inner_zip_is_not_counted_with_its_content() {
    let noise: Vec<u8> = (0..300_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let stored = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    let pack = |name: &str, content: &[u8]| {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        writer.start_file(name, stored).unwrap();
        writer.write_all(content).unwrap();
        writer.finish().unwrap().into_inner()
    };
    let nested = pack("Results/a.zip", &pack("a/a.tif", &noise));
    let unpack =
        |unpacked_bytes: u64| Room::new().unpack(&nested, &Limits { unpacked_bytes, ..Limits::default() });
    assert_eq!(unpack(310_000).unwrap(), ["a/a.tif"]);
    assert!(matches!(unpack(290_000), Err(IngestError::TooLarge { .. })));
}

#[test]
fn a_stored_inner_zip_is_read_where_it_lies() {
    let pack = |method: zip::CompressionMethod| {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        writer.start_file("Results/a.zip", SimpleFileOptions::default().compression_method(method)).unwrap();
        writer.write_all(&zip_of(&[("a/a.tif", b"pixels"), ("a/a.xml", b"words")])).unwrap();
        writer.finish().unwrap().into_inner()
    };
    let unpack = |bytes: &[u8]| {
        let room = Room::new();
        // Whoever wants to go through the scratch file fails.
        fs::create_dir(room.folder.path().join("scratch")).unwrap();
        let files = room.unpack(bytes, &Limits::default())?;
        assert_eq!(fs::read(room.folder.path().join("out/a/a.tif")).unwrap(), b"pixels");
        Ok(files)
    };
    assert_eq!(unpack(&pack(zip::CompressionMethod::Stored)), Ok(vec!["a/a.tif".into(), "a/a.xml".into()]));
    let through_scratch = unpack(&pack(zip::CompressionMethod::Deflated));
    assert!(matches!(through_scratch, Err(IngestError::Disk { .. })), "{through_scratch:?}");
}

#[test]
fn a_lie_about_the_size_is_stopped_while_writing() {
    // The central directory promises 10 bytes, the stream has 3 MB.
    let content = vec![0u8; 3 << 20];
    let mut bytes = zip_of(&[("a.tif", &content)]);
    let size = (content.len() as u32).to_le_bytes();
    let places: Vec<usize> =
        bytes.windows(4).enumerate().filter(|(_, window)| *window == size).map(|(at, _)| at).collect();
    for at in places {
        bytes[at..at + 4].copy_from_slice(&10u32.to_le_bytes());
    }
    let error = try_unpack(&bytes).unwrap_err();
    assert!(matches!(error, IngestError::Damaged { .. }), "{error}");
}

#[test]
fn damage_is_told_from_nonsense() {
    let good = zip_of(&[("a.txt", &[b'x'; 5000])]);
    let error = try_unpack(&good[..good.len() / 2]).unwrap_err();
    assert!(matches!(error, IngestError::Damaged { .. }), "{error}");
    let mut stored = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    stored.start_file("a.txt", options).unwrap();
    stored.write_all(b"the quick brown fox").unwrap();
    let flipped = rename(stored.finish().unwrap().into_inner(), "brown", "green");
    let error = try_unpack(&flipped).unwrap_err();
    assert!(matches!(&error, IngestError::Damaged { name, .. } if name == "a.txt"), "{error}");
    for (bytes, word) in [
        (&b"<!DOCTYPE html><html>Link expired</html>"[..], "HTML"),
        (b"{\"error\": 1}", "JSON"),
        (b"", "empty"),
        (b"just text", "zip"),
    ] {
        let error = try_unpack(bytes).unwrap_err();
        assert!(matches!(error, IngestError::NotAPackage { .. }), "{error}");
        assert!(error.to_string().contains(word), "{error}");
    }
}

/// The search for a zip's end finds that of the last zip in it, where its own was cut off. What that one holds is whole,
/// and the other one would be missing.
#[test]
fn the_directory_of_the_last_inner_zip_is_not_taken_for_the_packages_own() {
    let (one, two) = (zip_of(&[("one.tif", b"1")]), zip_of(&[("two.tif", b"2")]));
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, zip) in [("one.zip", &one), ("two.zip", &two)] {
        writer.start_file(name, stored).unwrap();
        writer.write_all(zip).unwrap();
    }
    let whole = writer.finish().unwrap().into_inner();
    assert_eq!(try_unpack(&whole).unwrap().len(), 2);
    let directory = whole.windows(two.len()).position(|window| window == two.as_slice()).unwrap() + two.len();
    for end in [directory, whole.len() - 30, whole.len() - 10] {
        let outcome = try_unpack(&whole[..end]);
        assert!(matches!(outcome, Err(IngestError::Damaged { .. })), "cut at {end}: {outcome:?}");
    }
}

#[test]
fn inner_zips_are_unpacked() {
    let deep = zip_of(&[("x.txt", b"deep")]);
    let own = zip_of(&[("Own/DATA/a.tif", b"1"), ("Own/deep.zip", &deep)]);
    let flat = zip_of(&[("a.tif", b"2"), ("b/c.txt", b"3")]);
    let outer =
        zip_of(&[("Results/Own.zip", &own), ("Results/flat.ZIP", &flat), ("Results/20210101/t.tif", b"4")]);
    let room = Room::new();
    let files = room.unpack(&outer, &Limits::default()).unwrap();
    assert_eq!(files, ["20210101/t.tif", "Own/DATA/a.tif", "Own/deep.zip", "flat/a.tif", "flat/b/c.txt"]);
    assert_eq!(fs::read(room.folder.path().join("out/flat/a.tif")).unwrap(), b"2");
    assert_eq!(fs::read(room.folder.path().join("out/Own/deep.zip")).unwrap(), deep);
    // Two inner zips with the same file.
    let twins = zip_of(&[("Results/A.zip", &own), ("Results/B.zip", &own)]);
    assert_eq!(try_unpack(&twins).unwrap().len(), 4);
    let bad = zip_of(&[("Results/A.zip", b"<html>not yet</html>")]);
    assert!(matches!(try_unpack(&bad), Err(IngestError::NotAPackage { .. })));
}

#[test]
fn inner_zips_of_one_name_are_told_apart_by_their_folders() {
    let zip = zip_of(&[("x.tif", b"1")]);
    let dates = zip_of(&[("Results/20210101/p.zip", &zip), ("results/20210111/p.zip", &zip)]);
    assert_eq!(try_unpack(&dates).unwrap(), ["20210101/p/x.tif", "20210111/p/x.tif"]);
    // Without the delivery's folder, too.
    let plain = zip_of(&[("a/p.zip", &zip), ("p.zip", &zip), ("Results.zip", &zip)]);
    assert_eq!(try_unpack(&plain).unwrap(), ["Results/x.tif", "a/p/x.tif", "p/x.tif"]);
    // All folders together are held against the limit of one path.
    let deep = |name: &str| format!("{}{name}", "a/".repeat(20));
    let long = zip_of(&[(&deep("p.zip"), &zip_of(&[(&deep("x.tif"), b"1")]))]);
    assert!(refused(&long).contains("too long"));
}

#[test]
fn the_packages_own_folder_is_no_member() {
    let with_folder = |folder: &str, file: &str| {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        writer.add_directory(folder, SimpleFileOptions::default()).unwrap();
        writer.start_file(file, SimpleFileOptions::default()).unwrap();
        writer.write_all(b"1").unwrap();
        writer.finish().unwrap().into_inner()
    };
    for folder in [".", "/", "./."] {
        let inner = with_folder(folder, "./p/x.tif");
        assert_eq!(try_unpack(&inner).unwrap(), ["p/x.tif"], "{folder:?}");
        let outer = zip_of(&[("Results/p.zip", &inner)]);
        assert_eq!(try_unpack(&outer).unwrap(), ["p/x.tif"], "{folder:?} in an inner zip");
    }
    // A folder outside is refused as before, and so is a file without a name.
    assert!(refused(&with_folder("..", "x.tif")).contains("leaves"));
    assert!(refused(&zip_of(&[(".", b"1")])).contains("no name"));
}

#[test]
fn a_zip_in_an_inner_zip_is_unpacked_where_it_holds_geodata() {
    let city = |name: &str| zip_of(&[(&*format!("{name}/Data/{name}.gpkg"), b"SQLite")]);
    let gdb = zip_of(&[("x.gdb/a00000001.gdbtable", b"1")]);
    let texts = zip_of(&[("m.xml", b"<x/>")]);
    let country = zip_of(&[
        ("AT/DATA/Wien.zip", &city("Wien")),
        ("AT/DATA/Graz.ZIP", &city("Graz")),
        ("AT/x.gdb.zip", &gdb),
        ("AT/Metadata/texts.zip", &texts),
        ("AT/broken.zip", b"no zip"),
        ("AT/more.zip", &zip_of(&[("deeper.zip", &zip_of(&[("t.tif", b"2"), ("too.zip", &city("deep"))]))])),
    ]);
    let room = Room::new();
    let files = room.unpack(&zip_of(&[("Results/AT.zip", &country)]), &Limits::default()).unwrap();
    assert_eq!(
        files,
        [
            "AT/DATA/Graz/Data/Graz.gpkg",
            "AT/DATA/Wien/Data/Wien.gpkg",
            "AT/Metadata/texts.zip",
            "AT/broken.zip",
            "AT/more/deeper/t.tif",
            "AT/more/deeper/too.zip",
            "AT/x.gdb/a00000001.gdbtable",
        ]
    );
    let out = room.folder.path().join("out");
    assert_eq!(fs::read(out.join("AT/Metadata/texts.zip")).unwrap(), texts);
    assert_eq!(fs::read(out.join("AT/more/deeper/t.tif")).unwrap(), b"2");
    // Nothing of what was in between stays behind.
    assert_eq!(fs::read_dir(room.folder.path()).unwrap().count(), 2);
    // A zip that stays counts as what it is.
    let stays = zip_of(&[("Results/a.zip", &zip_of(&[("big.zip", &[b'x'; 5000])]))]);
    let limits = Limits { unpacked_bytes: 4000, ..Limits::default() };
    assert!(matches!(room.unpack(&stays, &limits), Err(IngestError::TooLarge { .. })));
}

#[test]
fn an_unknown_compression_is_said_and_no_damage() {
    let mut bytes = zip_of(&[("a.tif", b"x")]);
    let directory = bytes.windows(4).position(|window| window == b"PK\x01\x02").unwrap();
    bytes[directory + 10] = 98;
    let reason = refused(&bytes);
    assert!(reason.contains("Ppmd") && reason.contains("not supported"), "{reason}");
}

#[test]
fn windows_separators_are_understood() {
    let bytes = rename(zip_of(&[("a/DATA/x.tif", b"1")]), "a/DATA/x.tif", "a\\DATA\\x.tif");
    assert_eq!(try_unpack(&bytes).unwrap(), ["a/DATA/x.tif"]);
}

proptest! {
    #[test]
    fn safe_paths_stay_below_their_root(name in r"[\./\\:a-zA-Z\x00-\x20é]{0,40}") {
        if let Ok(SafePath(parts)) = SafePath::parse(&name) {
            let path: PathBuf = parts.iter().collect();
            prop_assert!(path.is_relative());
            for part in path.components() {
                prop_assert!(matches!(part, std::path::Component::Normal(_)));
            }
            prop_assert_eq!(path.components().count(), parts.len());
            prop_assert!(!name.chars().any(char::is_control));
        }
    }

    #[test]
    fn broken_zips_never_panic(cut in 0usize..400, flips in prop::collection::vec((0usize..400, any::<u8>()), 0..6)) {
        let mut bytes = zip_of(&[("a/x.tif", b"some content of a file"), ("b.zip", &zip_of(&[("c", b"d")]))]);
        for (at, value) in flips {
            let at = at % bytes.len();
            bytes[at] = value;
        }
        bytes.truncate(bytes.len().saturating_sub(cut % 50));
        let _ = try_unpack(&bytes);
    }
}
