//! GeoPackages in WAL mode: SQLite cannot read them where it cannot write. They leave that mode here, in the
//! sandboxed child, in the staging folder: SQLite itself checkpoints the log, if the package holds one, and writes
//! the header anew. Not one row changes.

use std::fs;
use std::io;
use std::path::Path;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::error::{DiskContext, IngestError};
use super::job::IngestProgress;

/// Bytes at the start of an SQLite file that tell its mode.
pub(super) const HEADER: usize = 20;

/// True when the header (of an SQLite file) says that writing and reading go through a log.
pub(super) fn is_on(header: &[u8]) -> bool {
    header.get(18..HEADER) == Some(&[2, 2])
}

/// Takes the GeoPackage `name` below `unpacked` out of WAL mode. Its log and the log's index are gone afterwards,
/// also from `files`.
///
/// # Errors
/// [`IngestError::Vector`] when SQLite cannot read it, [`IngestError::Disk`].
pub(super) fn end(
    name: &str,
    files: &mut Vec<String>,
    unpacked: &Path,
    progress: &mut dyn FnMut(IngestProgress),
) -> Result<(), IngestError> {
    let (log, index) = (format!("{name}-wal"), format!("{name}-shm"));
    // A page that is new in the log makes the file grow by as much.
    let grows = size(&unpacked.join(&log)).disk(|| format!("look at '{log}'"))?;
    progress(IngestProgress::Room { bytes: grows });
    // It belongs to processes of another machine; SQLite makes its own from the log.
    remove(&unpacked.join(&index)).disk(|| format!("delete '{index}'"))?;
    let failed = |reason: String| IngestError::Vector {
        name: name.to_owned(),
        reason: format!("it is in WAL mode and cannot be taken out of it: {reason}"),
    };
    let mode = leave(&unpacked.join(name)).map_err(|error| failed(error.to_string()))?;
    if !mode.eq_ignore_ascii_case("delete") {
        return Err(failed(format!("SQLite leaves it in mode '{mode}'")));
    }
    for gone in [&log, &index] {
        remove(&unpacked.join(gone)).disk(|| format!("delete '{gone}'"))?;
    }
    files.retain(|file| *file != log && *file != index);
    Ok(())
}

/// Gives the journal mode that the file is left in.
fn leave(path: &Path) -> rusqlite::Result<String> {
    // No URI, no creation: the path is what it is.
    let database = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    // Nothing that the file says of itself is run.
    database.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    database.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    database.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
    database.pragma_update(None, "temp_store", "MEMORY")?;
    // The log's index lives in memory: no shared memory file in the staging folder.
    database.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    let mode = database.pragma_update_and_check(None, "journal_mode", "DELETE", |row| row.get(0))?;
    database.close().map_err(|(_, error)| error)?;
    Ok(mode)
}

fn size(path: &Path) -> io::Result<u64> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(metadata.len()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error),
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
