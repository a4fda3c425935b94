//! Unpacking ahead as a child process that follows a download: the same walls as around a conversion, another errand.
//!
//! The child is told over its stdin how much of the package has arrived, in one line of JSON each, and reads no further. Over its
//! stdout it asks for room before it writes, and tells each file that is complete. When the parent's end of stdin closes, the
//! child exits. Whatever happens to it costs the head start only.

use std::fs::{self, File};
use std::io::{self, BufRead, Read};
use std::os::unix::fs::FileExt;
use std::process::{ExitCode, Stdio};
use std::sync::mpsc;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::ChildStdin;
use tokio::sync::watch;

use super::ahead::{FOLDER, Packed, Told, unpack_ahead};
use super::child::{ChildProgram, read_line, spawn, tell};
use super::error::{DiskContext, IngestError};
use super::job::AheadJob;
use super::sandbox::{self, Walls};
use super::thread;

/// The hidden verb under which the program serves as the child that follows a download.
pub const FOLLOW_VERB: &str = "follow-child";

/// Most bytes that a child may tell: some hundred for each member that a package may have.
const MOST_TOLD: u64 = 64 << 20;

/// Why nothing was unpacked ahead in the end.
const GONE: &str = "follows a download that is no more";

/// How much of a package is on the disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Arrived {
    /// So many bytes from its beginning on.
    pub bytes: u64,
    /// Bytes that it will have.
    pub total: Option<u64>,
    /// That is all.
    pub is_whole: bool,
    /// It began anew: what was there is so no more.
    pub is_void: bool,
}

/// From parent to child.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    /// So many bytes can be read.
    Arrived(u64),
    /// So many, and there will be no more.
    Whole(u64),
    /// The room that was asked for is there.
    Go,
}

/// From child to parent.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum News {
    Sandbox(Walls),
    Room(u64),
    Unpacked(Packed),
    /// It went as far as it could, and why it went no further.
    Ended(Option<IngestError>),
}

/// Unpacks a package in a sandboxed child process while it arrives. Gives what is in `<staging>/ahead` when the package is whole
/// and the child has come as far as it could. `room` is asked before anything is written; `false` ends it.
/// Dropping the future kills the child; what it wrote is the caller's to sweep.
///
/// # Errors
/// [`IngestError::Child`]: it cannot be started, got no room, or the package began anew.
pub async fn follow(
    job: AheadJob,
    arrived: watch::Receiver<Arrived>,
    room: impl FnMut(u64) -> bool + Send,
) -> Result<Vec<Packed>, IngestError> {
    follow_with(&ChildProgram::current_as(FOLLOW_VERB), job, arrived, room).await
}

/// [`follow`] with another program than the running one.
///
/// # Errors
/// As [`follow`].
pub async fn follow_with(
    program: &ChildProgram,
    job: AheadJob,
    mut arrived: watch::Receiver<Arrived>,
    mut room: impl FnMut(u64) -> bool + Send,
) -> Result<Vec<Packed>, IngestError> {
    let gives_up = |reason: String| IngestError::Child { reason };
    let mut child = spawn(program, Stdio::null())
        .map_err(|error| gives_up(format!("that follows the download cannot be started: {error}")))?;
    let (Some(mut stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(gives_up("has no pipes".to_owned()));
    };
    say(&mut stdin, &job).await;
    // what has arrived by now is news to the child
    arrived.mark_changed();
    let mut news = BufReader::new(stdout.take(MOST_TOLD)).lines();
    let mut unpacked = Vec::new();
    let mut is_whole = false;
    loop {
        tokio::select! {
            line = news.next_line() => {
                let Ok(Some(line)) = line else { break };
                match serde_json::from_str(&line) {
                    Ok(News::Room(bytes)) if room(bytes) => say(&mut stdin, &Word::Go).await,
                    Ok(News::Room(_)) => return Err(gives_up("has no room to unpack ahead".to_owned())),
                    Ok(News::Unpacked(packed)) => unpacked.push(packed),
                    Ok(News::Sandbox(walls)) => tracing::debug!(?walls, "the follower is sandboxed"),
                    Ok(News::Ended(why)) => tracing::debug!(?why, "nothing more is unpacked ahead"),
                    Err(_) => tracing::debug!(line, "follower of a download"),
                }
            }
            changed = arrived.changed(), if !is_whole => {
                let now = *arrived.borrow_and_update();
                if changed.is_err() || now.is_void {
                    return Err(gives_up(GONE.to_owned()));
                }
                is_whole = now.is_whole;
                let word = if is_whole { Word::Whole(now.bytes) } else { Word::Arrived(now.bytes) };
                say(&mut stdin, &word).await;
            }
        }
    }
    // closed, they tell a child that talks for ever to go
    drop((stdin, news));
    let _ = child.wait().await;
    // it may have come to an end long before the download
    let ended = arrived.wait_for(|arrived| arrived.is_whole || arrived.is_void).await;
    if ended.is_ok_and(|arrived| !arrived.is_void) { Ok(unpacked) } else { Err(gives_up(GONE.to_owned())) }
}

/// Says something in one line. A child that is gone is noticed by the end of what it tells.
async fn say(stdin: &mut ChildStdin, word: &impl Serialize) {
    let Ok(mut line) = serde_json::to_vec(word) else { return };
    line.push(b'\n');
    let _ = stdin.write_all(&line).await;
}

/// The child's whole life; called as [`super::child_main`] is.
pub fn follow_main() -> ExitCode {
    let Ok(job) = read_line::<AheadJob>() else { return ExitCode::FAILURE };
    match sandbox::enter(job.ground()) {
        Ok(walls) => tell(&News::Sandbox(walls)),
        Err(error) => {
            let reason = format!("cannot be sandboxed: {error}");
            tell(&News::Ended(Some(IngestError::Child { reason })));
            return ExitCode::FAILURE;
        }
    }
    let (arrives, arrived) = mpsc::channel();
    let (go, gone) = mpsc::channel();
    thread::start(move || listen(&arrives, &go));
    let ended = unpack(&job, arrived, &mut |told| match told {
        Told::Unpacked(packed) => tell(&News::Unpacked(packed)),
        Told::Room(bytes) => {
            tell(&News::Room(bytes));
            // the other end only goes away together with this process
            let _ = gone.recv();
        }
    });
    tell(&News::Ended(ended.err()));
    ExitCode::SUCCESS
}

fn unpack(
    job: &AheadJob,
    arrived: mpsc::Receiver<Word>,
    told: &mut dyn FnMut(Told),
) -> Result<(), IngestError> {
    let folder = job.staging.join(FOLDER);
    if folder.exists() {
        fs::remove_dir_all(&folder).disk(|| "remove what was unpacked ahead before".to_owned())?;
    }
    fs::create_dir(&folder).disk(|| "create the folder for what is unpacked ahead".to_owned())?;
    let file = File::open(&job.package).disk(|| "open what has arrived".to_owned())?;
    let package = Growing { file, position: 0, arrived, readable: 0, is_whole: false };
    unpack_ahead(package, job.size, &folder, &job.limits, told)
}

/// Hands on what the parent says, and ends the process when it says no more.
fn listen(arrives: &mpsc::Sender<Word>, go: &mpsc::Sender<()>) {
    for line in io::stdin().lock().lines().map_while(Result::ok) {
        // nobody waits any more when all is unpacked
        match serde_json::from_str(&line) {
            Ok(Word::Go) => drop(go.send(())),
            Ok(word) => drop(arrives.send(word)),
            Err(_) => break,
        }
    }
    std::process::exit(2);
}

/// A file that another process writes: reading waits until the bytes are there.
#[derive(Debug)]
struct Growing {
    file: File,
    position: u64,
    arrived: mpsc::Receiver<Word>,
    readable: u64,
    is_whole: bool,
}

impl Read for Growing {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.position >= self.readable && !self.is_whole {
            match self.arrived.recv() {
                Ok(Word::Arrived(bytes)) => self.readable = bytes,
                Ok(Word::Whole(bytes)) => (self.readable, self.is_whole) = (bytes, true),
                Ok(Word::Go) => {}
                Err(_) => return Err(io::ErrorKind::BrokenPipe.into()),
            }
        }
        let rest = self.readable.saturating_sub(self.position);
        let wanted = usize::try_from(rest).map_or(buffer.len(), |rest| rest.min(buffer.len()));
        let length = self.file.read_at(&mut buffer[..wanted], self.position)?;
        if length == 0 && wanted > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.position += length as u64;
        Ok(length)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn growing(content: &[u8]) -> (Growing, mpsc::Sender<Word>) {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(content, 0).unwrap();
        let (arrives, arrived) = mpsc::channel();
        (Growing { file, position: 0, arrived, readable: 0, is_whole: false }, arrives)
    }

    #[test]
    fn nothing_is_read_before_it_has_arrived() {
        // the file is longer than what is said: what lies behind may still change
        let (mut file, arrives) = growing(b"0123456789");
        arrives.send(Word::Arrived(0)).unwrap();
        arrives.send(Word::Arrived(3)).unwrap();
        let mut buffer = [0; 8];
        assert_eq!(file.read(&mut buffer).unwrap(), 3);
        arrives.send(Word::Arrived(3)).unwrap();
        arrives.send(Word::Whole(5)).unwrap();
        assert_eq!((file.read(&mut buffer).unwrap(), &buffer[..2]), (2, &b"34"[..]));
        assert_eq!(file.read(&mut buffer).unwrap(), 0, "the end");
    }

    #[test]
    fn a_file_that_is_shorter_than_it_should_be_and_a_silent_parent_are_errors() {
        let (mut file, arrives) = growing(b"01");
        arrives.send(Word::Whole(5)).unwrap();
        let mut buffer = [0; 8];
        assert_eq!(file.read(&mut buffer).unwrap(), 2);
        assert_eq!(file.read(&mut buffer).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        let (mut file, arrives) = growing(b"01");
        drop(arrives);
        assert_eq!(file.read(&mut buffer).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
