//! The report's file: a tar, compressed.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;

use super::Page;

/// Writes all pages into one folder of a new file with mode 0600; returns the file's size.
///
/// # Errors
/// What the file says; it is not left behind then.
pub(super) fn write(path: &Path, folder: &str, made: Timestamp, pages: &[Page]) -> io::Result<u64> {
    let file = File::options().write(true).create_new(true).mode(0o600).open(path)?;
    fill(file, folder, made, pages).inspect_err(|_| {
        // the first error is the one that counts
        let _ = fs::remove_file(path);
    })
}

fn fill(file: File, folder: &str, made: Timestamp, pages: &[Page]) -> io::Result<u64> {
    let mut tar = tar::Builder::new(GzEncoder::new(file, Compression::default()));
    for page in pages {
        // no owner, no group: their names would be the user's
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Regular);
        header.set_mode(0o600);
        header.set_mtime(u64::try_from(made.as_second()).unwrap_or(0));
        header.set_size(page.text.len() as u64);
        tar.append_data(&mut header, format!("{folder}/{}", page.name), page.text.as_bytes())?;
    }
    let file = tar.into_inner()?.finish()?;
    file.sync_all()?;
    Ok(file.metadata()?.len())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::Read;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn pages_come_back_and_nobody_elses_file_is_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("report.tar.gz");
        let pages =
            [Page::new("README.txt", "", "hello"), Page::new("mount-1/log.txt", "", "x".repeat(70_000))];
        let size = write(&path, "folder", Timestamp::UNIX_EPOCH, &pages).unwrap();
        let metadata = fs::metadata(&path).unwrap();
        assert_eq!((metadata.len(), metadata.permissions().mode() & 0o777), (size, 0o600));
        let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(File::open(&path).unwrap()));
        let read: Vec<(String, String)> = tar
            .entries()
            .unwrap()
            .map(|entry| {
                let mut entry = entry.unwrap();
                let mut text = String::new();
                entry.read_to_string(&mut text).unwrap();
                (entry.path().unwrap().display().to_string(), text)
            })
            .collect();
        let written = pages.map(|page| (format!("folder/{}", page.name), page.text));
        assert_eq!(read, written);
        let again = write(&path, "folder", Timestamp::UNIX_EPOCH, &[]).unwrap_err();
        assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::metadata(&path).unwrap().len(), size);
    }

    #[test]
    fn a_full_disk_leaves_no_half_of_a_report() {
        assert_eq!(
            fill(File::options().write(true).open("/dev/full").unwrap(), "f", Timestamp::UNIX_EPOCH, &[])
                .unwrap_err()
                .kind(),
            io::ErrorKind::StorageFull
        );
    }
}
