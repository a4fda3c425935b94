//! One member of a zip on its way to a file: this thread unpacks, another one writes.

use std::fs::File;
use std::io::{self, Read, Write};
use std::sync::mpsc;

use super::error::{DiskContext, IngestError};
use super::thread;

/// Bytes that are unpacked, and announced, before they are written.
const BUFFER: usize = 4 << 20;
/// Buffers under way: one is filled, one is written, one waits.
const BUFFERS: usize = 3;

/// Writes everything that `member` (named `name`, said to have `size` bytes) gives to `file`; returns how many bytes that
/// were. `before` is told how many bytes are about to be written, and may refuse them.
///
/// # Errors
/// What `before` says; [`IngestError::Damaged`] when the member cannot be unpacked, [`IngestError::Disk`].
pub(super) fn pour(
    member: &mut impl Read,
    size: u64,
    file: &File,
    name: &str,
    mut before: impl FnMut(u64) -> Result<(), IngestError>,
) -> Result<u64, IngestError> {
    let mut next = |buffer: &mut Vec<u8>| {
        fill(member, buffer).map_err(|error| IngestError::unreadable(name, &error))?;
        if buffer.is_empty() { Ok(()) } else { before(buffer.len() as u64) }
    };
    let write = |mut file: &File, buffer: &[u8]| file.write_all(buffer).disk(|| format!("write '{name}'"));
    let mut total = 0;
    if size < BUFFER as u64 {
        // Not worth a thread; a member that lies about its size may be longer all the same.
        let mut buffer = Vec::new();
        loop {
            next(&mut buffer)?;
            if buffer.is_empty() {
                return Ok(total);
            }
            write(file, &buffer)?;
            total += buffer.len() as u64;
        }
    }
    std::thread::scope(|scope| {
        let (full, to_write) = mpsc::channel::<Vec<u8>>();
        let (empty, spare) = mpsc::channel();
        for _ in 0..BUFFERS {
            // Its receiver is in this very function.
            let _ = empty.send(Vec::new());
        }
        let writer = thread::start_in(scope, move || {
            to_write.into_iter().try_for_each(|buffer| {
                write(file, &buffer)?;
                // The one who fills them has given up when nobody receives.
                let _ = empty.send(buffer);
                Ok(())
            })
        });
        let mut unpack = || {
            // Without spare buffers the writer has gone, and says why below.
            while let Ok(mut buffer) = spare.recv() {
                next(&mut buffer)?;
                if buffer.is_empty() {
                    break;
                }
                total += buffer.len() as u64;
                if full.send(buffer).is_err() {
                    break;
                }
            }
            Ok(total)
        };
        let unpacked = unpack();
        drop(full);
        let written = writer.join().expect("nothing in the writer panics");
        written.and(unpacked)
    })
}

/// Fills a buffer as far as there is something.
fn fill(member: &mut impl Read, buffer: &mut Vec<u8>) -> io::Result<()> {
    buffer.clear();
    member.take(BUFFER as u64).read_to_end(buffer).map(drop)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::{Seek, SeekFrom};

    use super::*;

    #[test]
    fn every_byte_arrives_in_its_place_and_is_announced() {
        for length in [0, 1, BUFFER - 1, BUFFER, BUFFER + 1, 9 * BUFFER + 7] {
            let bytes: Vec<u8> = (0..length).map(|at| (at / 251 * 7 + at) as u8).collect();
            for said in [0, length as u64, 10 * length as u64] {
                let mut file = tempfile::tempfile().unwrap();
                let mut announced = 0;
                let poured = pour(&mut &bytes[..], said, &file, "member", |more| {
                    announced += more;
                    Ok(())
                });
                assert_eq!((poured.unwrap(), announced), (length as u64, length as u64));
                let mut written = Vec::new();
                file.seek(SeekFrom::Start(0)).unwrap();
                file.read_to_end(&mut written).unwrap();
                assert!(written == bytes, "{length} bytes");
            }
        }
    }

    #[test]
    fn a_refusal_ends_it_before_the_bytes_are_written() {
        let bytes = vec![1; 8 * BUFFER];
        let file = tempfile::tempfile().unwrap();
        let mut announced = 0;
        let refused = pour(&mut &bytes[..], bytes.len() as u64, &file, "bomb", |more| {
            announced += more;
            if announced > 3 * BUFFER as u64 {
                return Err(IngestError::TooLarge { what: "unpacked bytes".to_owned(), limit: 1 });
            }
            Ok(())
        });
        assert!(matches!(refused, Err(IngestError::TooLarge { .. })), "{refused:?}");
        assert_eq!(file.metadata().unwrap().len(), 3 * BUFFER as u64);
    }

    #[test]
    fn a_disk_that_refuses_is_told() {
        let bytes = vec![1; 8 * BUFFER];
        let file = File::open("/dev/null").unwrap();
        for size in [1, bytes.len() as u64] {
            let failed = pour(&mut &bytes[..], size, &file, "member", |_| Ok(()));
            assert!(matches!(failed, Err(IngestError::Disk { .. })), "{failed:?}");
        }
    }

    #[test]
    fn a_member_that_breaks_off_is_damaged() {
        let mut member = io::Cursor::new(vec![1; 2 * BUFFER]).chain(Breaking);
        let file = tempfile::tempfile().unwrap();
        let failed = pour(&mut member, 3 * BUFFER as u64, &file, "member", |_| Ok(()));
        assert!(matches!(&failed, Err(IngestError::Damaged { name, .. }) if name == "member"), "{failed:?}");
    }

    /// It was taken for damage of the package, which was then downloaded anew.
    #[test]
    fn want_of_memory_and_a_failing_disk_are_no_damage() {
        struct Failing(fn() -> io::Error);
        impl Read for Failing {
            fn read(&mut self, _buffer: &mut [u8]) -> io::Result<usize> {
                Err(self.0())
            }
        }
        let file = tempfile::tempfile().unwrap();
        let errors: [(fn() -> io::Error, bool); 3] = [
            (|| io::ErrorKind::OutOfMemory.into(), false),
            (|| io::Error::from_raw_os_error(libc::EIO), false),
            (|| io::Error::from_raw_os_error(libc::EINVAL), true),
        ];
        for (error, is_damage) in errors {
            let failed = pour(&mut Failing(error), 1, &file, "member", |_| Ok(())).unwrap_err();
            assert_eq!(failed.is_damaged_download(), is_damage, "{failed}");
        }
    }

    struct Breaking;

    impl Read for Breaking {
        fn read(&mut self, _buffer: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::new(io::ErrorKind::InvalidData, "corrupt deflate stream"))
        }
    }
}
