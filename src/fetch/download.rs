//! Brings a package to `staging/<key>/package.zip`: resumes a `.part`, retries within bounds, checks the length, and takes
//! off the gzip that some hosts wrap around it.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flate2::write::MultiGzDecoder;
use tokio::fs::{File, OpenOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;
use url::Url;

use crate::clms::ClmsError;
use crate::ingest::Arrived;

use super::failure::{Failure, FailureKind};
use super::job::Event;
use super::service::Service;
use super::turn::Turn;

/// Attempts without a single new byte before the download is given up.
const ATTEMPTS: u32 = 5;
/// Bytes between two looks of those who follow a download.
const TELL: u64 = 4 << 20;
/// Room asked for at once where nobody says how much will come.
const STEP: u64 = 16 << 20;

/// Files of one download.
#[derive(Debug, Clone)]
pub struct PackageFiles {
    /// What has arrived so far.
    pub part: PathBuf,
    /// A package while gzip is taken off it.
    unwrapped: PathBuf,
    /// The complete package.
    pub package: PathBuf,
}

impl PackageFiles {
    /// The files in a fetch's staging directory.
    pub fn below(staging: &Path) -> Self {
        Self {
            part: staging.join("package.part"),
            unwrapped: staging.join("package.unwrapped"),
            package: staging.join("package.zip"),
        }
    }
}

/// How a download waits between its attempts.
pub(super) struct Rest<'a> {
    /// The first pause; it doubles each time.
    pub(super) pause: Duration,
    /// Left to another download while the host asks for patience: it does not hold up what comes from others.
    pub(super) turn: Turn<'a>,
}

impl Rest<'_> {
    /// Waits after so many attempts without a new byte, and for as long as the host asks.
    async fn before_another(&mut self, fruitless: u32, asked: Option<Duration>) {
        let own = self.pause * 2u32.pow(fruitless);
        match asked.filter(|asked| *asked > own) {
            Some(asked) => self.turn.lend(asked).await,
            None => tokio::time::sleep(own).await,
        }
    }
}

/// Why one attempt ended.
enum Broken {
    /// The link is of no use.
    Lost(String),
    /// Another attempt may help.
    Transient(ClmsError),
    /// The host is there and does not give the file. Another attempt may help, else another link.
    Refused(ClmsError),
    /// No attempt will help.
    Final(Failure),
}

/// Downloads `link`; tells bytes done and in all as they come, and asks `room` before the package may grow to a size,
/// together with the size that the host states. `arrived` says what can be read of the `.part`. `rest` is between attempts.
///
/// Dropping the future leaves the `.part` for the next attempt, and so does a lost link: the service may name it again.
pub(super) async fn download(
    service: &dyn Service,
    link: &Url,
    files: &PackageFiles,
    arrived: &watch::Sender<Arrived>,
    mut rest: Rest<'_>,
    mut on_progress: impl FnMut(u64, Option<u64>) + Send,
    mut room: impl FnMut(u64, Option<u64>) -> Result<(), Failure> + Send,
) -> Event {
    let mut fruitless = 0;
    // a host without ranges starts over each time: only going further than ever before is progress
    let mut furthest = length(&files.part).await;
    loop {
        let before = length(&files.part).await;
        let attempt = attempt(service, link, files, before, arrived, &mut on_progress, &mut room);
        let broken = match attempt.await {
            Ok(()) => return Event::Downloaded,
            Err(broken) => broken,
        };
        let is_refused = matches!(broken, Broken::Refused(_));
        match broken {
            Broken::Lost(what) => return Event::LinkLost(what),
            Broken::Final(failure) => return Event::Failed(failure),
            Broken::Transient(error) | Broken::Refused(error) => {
                let reached = length(&files.part).await;
                fruitless = if reached > furthest { 1 } else { fruitless + 1 };
                furthest = furthest.max(reached);
                if fruitless >= ATTEMPTS && is_refused {
                    return Event::LinkLost(error.to_string());
                }
                if fruitless >= ATTEMPTS {
                    let message = format!("download broke off {fruitless} times without progress: {error}");
                    return Event::Failed(Failure::new(FailureKind::Offline, message));
                }
                tracing::warn!(%error, attempt = fruitless, "download broke off; going on from what is here");
                rest.before_another(fruitless, error.retry_after()).await;
            }
        }
    }
}

async fn length(path: &Path) -> u64 {
    tokio::fs::metadata(path).await.map_or(0, |metadata| metadata.len())
}

async fn attempt(
    service: &dyn Service,
    link: &Url,
    files: &PackageFiles,
    have: u64,
    arrived: &watch::Sender<Arrived>,
    on_progress: &mut (impl FnMut(u64, Option<u64>) + Send),
    room: &mut (impl FnMut(u64, Option<u64>) -> Result<(), Failure> + Send),
) -> Result<(), Broken> {
    let mut download = service.download(link, have).await.map_err(sort)?;
    // a host without ranges starts over, whatever was asked for
    let start = download.start;
    let total = download.total;
    if let Some(total) = total {
        room(total, Some(total)).map_err(Broken::Final)?;
    }
    arrived.send_modify(|arrived| {
        arrived.total = total;
        arrived.is_void |= start < arrived.bytes;
    });
    let mut file = open(&files.part, start).await.map_err(|error| local(&files.part, &error))?;
    let mut done = start;
    let mut granted = total.unwrap_or(0);
    let mut told = 0;
    on_progress(done, total);
    let outcome = loop {
        match download.chunk().await {
            Ok(None) => break Ok(()),
            Ok(Some(bytes)) => {
                done += bytes.len() as u64;
                if done > granted {
                    // length unknown or wrong: ask in steps
                    granted = grant(done, total, room)?;
                }
                file.write_all(&bytes).await.map_err(|error| local(&files.part, &error))?;
                on_progress(done, total);
                if done >= told + TELL {
                    told = done;
                    // until then the last of it may be on its way only
                    file.flush().await.map_err(|error| local(&files.part, &error))?;
                    arrived.send_modify(|arrived| arrived.bytes = done);
                }
            }
            Err(error) => break Err(error),
        }
    };
    // what has arrived is kept, whatever the reason for the end
    file.flush().await.map_err(|error| local(&files.part, &error))?;
    arrived.send_modify(|arrived| arrived.bytes = done);
    outcome.map_err(Broken::Transient)?;
    if let Some(total) = total.filter(|total| *total != done) {
        let reason = format!("{done} of {total} bytes arrived");
        if done > total {
            let _ = tokio::fs::remove_file(&files.part).await;
        }
        return Err(Broken::Transient(ClmsError::Unreachable {
            host: link.host_str().unwrap_or("download host").to_owned(),
            reason,
        }));
    }
    let disk = |error: std::io::Error| local(&files.part, &error);
    let whole = match beginning(&files.part).await.map_err(disk)? {
        Some([0x1f, 0x8b, ..]) => {
            unwrap(files, room).await?;
            file = File::open(&files.unwrapped).await.map_err(disk)?;
            &files.unwrapped
        }
        _ => &files.part,
    };
    if !matches!(beginning(whole).await.map_err(disk)?, Some(ZIP | EMPTY_ZIP)) {
        let _ = tokio::fs::remove_file(whole).await;
        let _ = tokio::fs::remove_file(&files.part).await;
        return Err(Broken::Lost("the link does not lead to a zip file".to_owned()));
    }
    file.sync_all().await.map_err(disk)?;
    tokio::fs::rename(whole, &files.package).await.map_err(|error| local(&files.package, &error))?;
    if whole != &files.part {
        let _ = tokio::fs::remove_file(&files.part).await;
    }
    Ok(())
}

/// Asks for room for what has come, and for what comes next where there is some; gives up to where it reaches.
fn grant(
    done: u64,
    total: Option<u64>,
    room: &mut impl FnMut(u64, Option<u64>) -> Result<(), Failure>,
) -> Result<u64, Broken> {
    if room(done + STEP, total).is_ok() {
        return Ok(done + STEP);
    }
    room(done, total).map(|()| done).map_err(Broken::Final)
}

/// Takes the gzip off a complete `.part`. What is broken in it is fetched again.
async fn unwrap(
    files: &PackageFiles,
    room: &mut (impl FnMut(u64, Option<u64>) -> Result<(), Failure> + Send),
) -> Result<(), Broken> {
    let disk = |error: std::io::Error| local(&files.unwrapped, &error);
    let mut wrapped = File::open(&files.part).await.map_err(disk)?;
    let mut content = File::create(&files.unwrapped).await.map_err(disk)?;
    let mut decoder = MultiGzDecoder::new(Vec::new());
    let mut buffer = vec![0; 1 << 16];
    // until the package takes its place, both are there
    let mut done = length(&files.part).await;
    let mut granted = done;
    let broken = loop {
        let read = wrapped.read(&mut buffer).await.map_err(disk)?;
        let step = if read > 0 { decoder.write_all(&buffer[..read]) } else { decoder.try_finish() };
        let plain = std::mem::take(decoder.get_mut());
        done += plain.len() as u64;
        if done > granted {
            granted = grant(done, None, room)?;
        }
        content.write_all(&plain).await.map_err(disk)?;
        match step {
            Err(error) => break Some(error),
            Ok(()) if read == 0 => break None,
            Ok(()) => {}
        }
    };
    content.flush().await.map_err(disk)?;
    let Some(error) = broken else { return Ok(()) };
    for file in [&files.part, &files.unwrapped] {
        let _ = tokio::fs::remove_file(file).await;
    }
    Err(Broken::Transient(ClmsError::Unreachable {
        host: "the download host".to_owned(),
        reason: format!("its gzip stream is broken: {error}"),
    }))
}

/// First bytes of a local file header.
const ZIP: [u8; 4] = *b"PK\x03\x04";
/// First bytes of a zip without files: its end record.
const EMPTY_ZIP: [u8; 4] = *b"PK\x05\x06";
async fn open(part: &Path, start: u64) -> std::io::Result<File> {
    let mut file = OpenOptions::new().create(true).write(true).truncate(false).open(part).await?;
    file.set_len(start).await?;
    tokio::io::AsyncSeekExt::seek(&mut file, std::io::SeekFrom::Start(start)).await?;
    Ok(file)
}

/// The first four bytes of a file, if it has so many.
async fn beginning(path: &Path) -> std::io::Result<Option<[u8; 4]>> {
    let mut magic = [0; 4];
    match File::open(path).await?.read_exact(&mut magic).await {
        Ok(_) => Ok(Some(magic)),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

fn local(path: &Path, error: &std::io::Error) -> Broken {
    Broken::Final(Failure::of_io(path, error))
}

/// What it means that a download does not begin.
fn sort(error: ClmsError) -> Broken {
    match error {
        ClmsError::LinkLost { reason } => Broken::Lost(reason),
        ClmsError::Refused { .. } | ClmsError::BadAnswer { .. } => Broken::Refused(error),
        ClmsError::UnsafeLink { .. } => Broken::Final(Failure::new(FailureKind::Service, error.to_string())),
        error => Broken::Transient(error),
    }
}
