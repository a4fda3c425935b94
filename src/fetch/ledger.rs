//! The ledger: what must survive a crash. Jobs under way, last uses, pins, orders per user.
//!
//! SQLite in WAL mode with one writer (this process holds the cache's lock). A job is saved before its step
//! is acted upon, with the database synced to the disk, so that an order is never forgotten.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

use rusqlite::{Connection, ErrorCode, OptionalExtension, params};

use crate::store::disk::{Trouble, advice};
use crate::store::inventory::Remembered;
use crate::store::layout::EntryKey;

use super::job::Job;

/// Schema version in `PRAGMA user_version`.
const SCHEMA: i64 = 1;

/// What can go wrong with the ledger.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// It cannot be opened or made.
    #[error("{}: {source}{}", path.display(), advice(source))]
    Open {
        /// The database.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The disk below it refuses.
    #[error("{}: {source}; {}", path.display(), trouble.way_out())]
    Disk {
        /// The database.
        path: PathBuf,
        /// What stands in the way.
        trouble: Trouble,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// The file is no database any more.
    #[error(
        "ledger: {0}; move it away: entries on disk are adopted again, orders are looked for at the service"
    )]
    Damaged(rusqlite::Error),
    /// Another program has it open.
    #[error("ledger: {0}; another program has the ledger open: close it there")]
    Busy(rusqlite::Error),
    /// The database cannot be used for another reason.
    #[error("ledger: {0}")]
    Database(rusqlite::Error),
    /// The ledger was written by a later release.
    #[error(
        "ledger: schema {found} is not known to this release; use the clmsfs that wrote it, or another --cache-dir"
    )]
    Schema {
        /// Its schema version.
        found: i64,
    },
    /// A job cannot be written as JSON.
    #[error("ledger: {0}")]
    Encode(#[from] serde_json::Error),
}

impl From<rusqlite::Error> for LedgerError {
    fn from(source: rusqlite::Error) -> Self {
        let trouble = match source.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Trouble::Full,
            Some(ErrorCode::ReadOnly) => Trouble::ReadOnly,
            Some(ErrorCode::CannotOpen) => Trouble::Forbidden,
            Some(ErrorCode::SystemIoFailure) => Trouble::Failing,
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => return Self::Damaged(source),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => return Self::Busy(source),
            _ => return Self::Database(source),
        };
        Self::Disk { path: "ledger.sqlite".into(), trouble, source }
    }
}

impl LedgerError {
    /// The same with the path. SQLite knows a full disk, and calls everything else an I/O error or "unable to open": the
    /// system's own number says more of the one, an attempt to make a file of the other.
    fn precisely(self, connection: &Connection) -> Self {
        let Self::Disk { path, trouble, source } = self else { return self };
        let path = connection.path().map_or(path, PathBuf::from);
        let found = match trouble {
            Trouble::Failing => {
                // SAFETY: the handle is of a connection that is open; the call only reads a number.
                Trouble::of_errno(unsafe { rusqlite::ffi::sqlite3_system_errno(connection.handle()) })
            }
            Trouble::Forbidden => attempt_beside(&path).err().and_then(|error| Trouble::of(&error)),
            certain => Some(certain),
        };
        Self::Disk { path, trouble: found.unwrap_or(trouble), source }
    }
}

/// Makes and deletes a file beside the database, as SQLite makes its log.
fn attempt_beside(path: &Path) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push("-attempt");
    File::create(&name)?;
    std::fs::remove_file(&name)
}

/// What is known of a product that is, or was, in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shelved {
    /// The entry.
    pub key: EntryKey,
    /// `<dataset>/<product>`.
    pub path: String,
}

/// An open ledger.
#[derive(Debug)]
pub struct Ledger {
    connection: Mutex<Connection>,
}

impl Ledger {
    /// Opens or creates the ledger.
    ///
    /// # Errors
    /// [`LedgerError`] when it cannot be read or is of a later release.
    pub fn open(path: &Path) -> Result<Self, LedgerError> {
        // SQLite would only say that it cannot open it
        File::options()
            .create(true)
            .append(true)
            .open(path)
            .map_err(|source| LedgerError::Open { path: path.to_owned(), source })?;
        let connection = Connection::open(path)?;
        Self::prepare(&connection).map_err(|error| error.precisely(&connection))?;
        Ok(Self { connection: Mutex::new(connection) })
    }

    fn prepare(connection: &Connection) -> Result<(), LedgerError> {
        // The cache's lock sees to it that nobody else writes. Without this SQLite would map a file, and a write to that
        // mapping on a full disk (copy-on-write, or over quota) is the end of the process: SIGBUS
        connection.pragma_update(None, "locking_mode", "exclusive")?;
        connection.pragma_update(None, "journal_mode", "wal")?;
        // a committed job must survive a power loss: it may be a paid order
        connection.pragma_update(None, "synchronous", "full")?;
        connection.pragma_update(None, "journal_size_limit", 1 << 20)?;
        let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if found > SCHEMA {
            return Err(LedgerError::Schema { found });
        }
        connection.execute_batch(
            "begin;
             create table if not exists jobs (key text primary key, job text not null) without rowid;
             create table if not exists entries (
                key text primary key, path text not null,
                last_use integer not null, pinned integer not null default 0) without rowid;
             create table if not exists orders (at integer not null, uid integer not null);
             create index if not exists orders_at on orders (at);
             pragma user_version = 1;
             commit;",
        )?;
        Ok(())
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().expect("no code panics while it holds the ledger")
    }

    /// Writes, and says precisely what stands in the way.
    fn write<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, LedgerError> {
        let connection = self.connection();
        work(&connection).map_err(|error| LedgerError::from(error).precisely(&connection))
    }

    /// Saves the job as it is now.
    ///
    /// # Errors
    /// [`LedgerError`]; the job must not go on then.
    pub fn save_job(&self, job: &Job) -> Result<(), LedgerError> {
        let text = serde_json::to_string(job)?;
        self.write(|connection| {
            connection
                .prepare_cached("insert or replace into jobs (key, job) values (?1, ?2)")?
                .execute(params![job.key.as_str(), text])
        })
        .map(|_| ())
    }

    /// Forgets a job.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn forget_job(&self, key: &EntryKey) -> Result<(), LedgerError> {
        self.write(|connection| {
            connection.prepare_cached("delete from jobs where key = ?1")?.execute([key.as_str()])
        })
        .map(|_| ())
    }

    /// All jobs, ended ones too. One that cannot be understood is left out with a warning: its task is
    /// found again at the service when the product is next opened.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn jobs(&self) -> Result<Vec<Job>, LedgerError> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached("select key, job from jobs")?;
        let rows = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
        let mut jobs = Vec::new();
        for row in rows {
            let (key, text) = row?;
            match serde_json::from_str(&text) {
                Ok(job) => jobs.push(job),
                Err(error) => tracing::warn!(key, %error, "a saved job cannot be read and is left out"),
            }
        }
        Ok(jobs)
    }

    /// Remembers that the entry of `path` was used.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn note_use(&self, key: &EntryKey, path: &str, last_use: u64) -> Result<(), LedgerError> {
        self.connection()
            .prepare_cached(
                "insert into entries (key, path, last_use) values (?1, ?2, ?3)
                 on conflict (key) do update set path = ?2, last_use = ?3",
            )?
            .execute(params![key.as_str(), path, to_sql(last_use)])?;
        Ok(())
    }

    /// Remembers last uses of many entries at once.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn note_uses(&self, uses: &[(EntryKey, u64)]) -> Result<(), LedgerError> {
        self.write(|connection| {
            let transaction = connection.unchecked_transaction()?;
            for (key, last_use) in uses {
                transaction
                    .prepare_cached("update entries set last_use = ?2 where key = ?1")?
                    .execute(params![key.as_str(), to_sql(*last_use)])?;
            }
            transaction.commit()
        })
    }

    /// Remembers which products entries are now, `<dataset>/<product>`. Keys that it does not know stay unknown.
    ///
    /// # Errors
    /// [`LedgerError`]; all of them are as before then.
    pub fn note_names(&self, names: &[(EntryKey, String)]) -> Result<(), LedgerError> {
        self.write(|connection| {
            let transaction = connection.unchecked_transaction()?;
            for (key, path) in names {
                // what is as it was is not written: mostly all of it
                transaction
                    .prepare_cached("update entries set path = ?2 where key = ?1 and path <> ?2")?
                    .execute(params![key.as_str(), path])?;
            }
            transaction.commit()
        })
    }

    /// Remembers a pin.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn note_pin(&self, key: &EntryKey, path: &str, pinned: bool) -> Result<(), LedgerError> {
        self.connection()
            .prepare_cached(
                "insert into entries (key, path, last_use, pinned) values (?1, ?2, 0, ?3)
                 on conflict (key) do update set pinned = ?3",
            )?
            .execute(params![key.as_str(), path, pinned])?;
        Ok(())
    }

    /// Last uses and pins.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn remembered(&self) -> Result<Vec<Remembered>, LedgerError> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached("select key, last_use, pinned from entries")?;
        let rows = statement.query_map([], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?, row.get::<_, bool>(2)?))
        })?;
        let mut remembered = Vec::new();
        for row in rows {
            let (key, last_use, pinned) = row?;
            if let Ok(key) = EntryKey::new(key) {
                remembered.push(Remembered { key, last_use: u64::try_from(last_use).unwrap_or(0), pinned });
            }
        }
        Ok(remembered)
    }

    /// `<dataset>/<product>` of an entry.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn path_of(&self, key: &EntryKey) -> Result<Option<String>, LedgerError> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached("select path from entries where key = ?1")?;
        Ok(statement.query_row([key.as_str()], |row| row.get(0)).optional()?)
    }

    /// The entries that are in the cache, or were, as `path` or as a namesake of it (`path~2`), the one that was used last in
    /// front.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn namesakes_of(&self, path: &str) -> Result<Vec<EntryKey>, LedgerError> {
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let natural =
            path.rsplit_once('~').filter(|(_, number)| is_number(number)).map_or(path, |(name, _)| name);
        let connection = self.connection();
        let mut statement = connection.prepare_cached(
            "select key from entries where path = ?1 or substr(path, 1, length(?1) + 1) = ?1 || '~'
             order by last_use desc",
        )?;
        let keys = statement.query_map([natural], |row| row.get::<_, String>(0))?;
        Ok(keys.filter_map(Result::ok).filter_map(|key| EntryKey::new(key).ok()).collect())
    }

    /// Counts an order of `uid` now, unless it already had `limit` since `since` (milliseconds since 1970; 0 = no
    /// limit). True when it was counted.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn spend(&self, uid: u32, limit: u32, since: u64) -> Result<bool, LedgerError> {
        // one lock over question and answer
        let connection = self.connection();
        let spent: u32 = connection
            .prepare_cached("select count(*) from orders where uid = ?1 and at >= ?2")?
            .query_row(params![uid, to_sql(since)], |row| row.get(0))?;
        if limit > 0 && spent >= limit {
            return Ok(false);
        }
        let now = super::now();
        connection
            .prepare_cached("insert into orders (at, uid) values (?1, ?2)")?
            .execute(params![to_sql(now), uid])?;
        let day_ago = now.saturating_sub(24 * 3600 * 1000);
        connection.prepare_cached("delete from orders where at < ?1")?.execute([to_sql(day_ago)])?;
        Ok(true)
    }
}

/// SQLite's integers are signed.
fn to_sql(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::fetch::job::Event;
    use crate::fetch::job::tests::job;

    #[test]
    fn a_job_survives_closing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger.sqlite");
        let saved = job().after(Event::Ordered(crate::clms::TaskId::parse("14909741217").unwrap()));
        {
            let ledger = Ledger::open(&path).unwrap();
            ledger.save_job(&job()).unwrap();
            ledger.save_job(&saved).unwrap();
        }
        let ledger = Ledger::open(&path).unwrap();
        assert_eq!(ledger.jobs().unwrap().as_slice(), std::slice::from_ref(&saved));
        ledger.forget_job(&saved.key).unwrap();
        assert!(ledger.jobs().unwrap().is_empty());
    }

    #[test]
    fn uses_pins_and_orders_are_remembered() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&dir.path().join("l")).unwrap();
        let key = EntryKey::new("k").unwrap();
        ledger.note_pin(&key, "d/p", true).unwrap();
        ledger.note_use(&key, "d/p", 7).unwrap();
        ledger.note_uses(&[(key.clone(), 9)]).unwrap();
        assert_eq!(
            ledger.remembered().unwrap(),
            [Remembered { key: key.clone(), last_use: 9, pinned: true }]
        );
        assert_eq!(ledger.path_of(&key).unwrap().as_deref(), Some("d/p"));
        let later = EntryKey::new("l").unwrap();
        ledger.note_use(&later, "d/p", 10).unwrap();
        let other = EntryKey::new("m").unwrap();
        ledger.note_use(&other, "d/other", 11).unwrap();
        assert_eq!(ledger.namesakes_of("d/p").unwrap(), [later.clone(), key.clone()]);
        assert_eq!(ledger.namesakes_of("d/p~3").unwrap(), [later.clone(), key.clone()]);
        let unknown = EntryKey::new("n").unwrap();
        let names = [&later, &other, &unknown].map(|key| (key.clone(), format!("d/{key}")));
        ledger.note_names(&names).unwrap();
        assert_eq!(ledger.namesakes_of("d/p").unwrap(), [key]);
        assert_eq!(ledger.path_of(&later).unwrap().as_deref(), Some("d/l"));
        assert_eq!(ledger.path_of(&unknown).unwrap(), None);
        assert!(ledger.spend(5, 2, 0).unwrap());
        assert!(ledger.spend(5, 2, 0).unwrap());
        assert!(!ledger.spend(5, 2, 0).unwrap());
        assert!(ledger.spend(6, 2, 0).unwrap());
        assert!(ledger.spend(5, 2, crate::fetch::now() + 1000).unwrap(), "older ones do not count");
    }

    #[test]
    fn a_ledger_of_a_later_release_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("l");
        Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
        assert!(matches!(Ledger::open(&path), Err(LedgerError::Schema { found: 99 })));
    }
}
