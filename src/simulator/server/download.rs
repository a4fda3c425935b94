//! The file host: ranges, pace, expiry, and what goes wrong with files.

use std::{
    io::{self, SeekFrom},
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    http::{HeaderValue, Method, header},
    response::Response,
};
use futures_util::stream;
use jiff::Timestamp;
use tokio::{
    fs::File,
    io::{AsyncReadExt, AsyncSeekExt},
    time::Instant,
};

use super::{
    Behaviour, Peer, Server,
    manner::{Manner, SecondHalf},
    reply,
    request::Call,
};
use crate::simulator::{fault::OrderEffect, registry::Entry};

/// Bytes in the middle of a corrupt file that are inverted.
const CORRUPT: u64 = 64;
const PIECE: u64 = 64 << 10;

/// A file as this request may have it.
struct Served {
    path: PathBuf,
    length: u64,
    /// Bytes that are inverted.
    corrupt: Vec<Range<u64>>,
    tag: String,
}

/// Answers GET and HEAD.
pub(crate) fn answer(server: &Arc<Server>, behaviour: &Behaviour, call: &Call, manner: &Manner) -> Response {
    // The real host takes these for robots; it looks like a failure of authentication and is none.
    let robot = call.header("user-agent").is_some_and(|agent| {
        let agent = agent.to_ascii_lowercase();
        agent.starts_with("python-requests") || agent.starts_with("python-urllib")
    });
    if robot {
        return reply::html(403, "Forbidden");
    }
    if !matches!(call.method, Method::GET | Method::HEAD) {
        return reply::html(405, "Method Not Allowed");
    }
    let served = call.route.download().and_then(|fme_id| {
        let registry = server.registry();
        let entry = registry.by_fme_id(fme_id)?;
        if call.method == Method::GET {
            server.log().downloaded(&entry.products);
        }
        served(entry, fme_id, behaviour.scenario.link_lifetime)
    });
    match served {
        None => reply::html(404, "Not Found"),
        Some(None) => reply::html(200, "Sign in"),
        Some(Some(served)) => {
            let wanted = if behaviour.scenario.range { range(call, &served) } else { Wanted::Whole };
            send(server, behaviour, call, served, wanted, manner)
        }
    }
}

/// The file behind a link: `None` if there is none any more, `Some(None)` if a page is sent instead of it.
fn served(entry: &Entry, fme_id: u32, lifetime: Duration) -> Option<Option<Served>> {
    let now = Timestamp::now();
    let view = entry.task.at(now)?;
    view.file_size?;
    let age = Duration::try_from(now.duration_since(view.finalized?)).unwrap_or_default();
    if age >= lifetime || entry.effects.contains(&OrderEffect::ExpiredLink) {
        return None;
    }
    if entry.effects.contains(&OrderEffect::NotAZip) {
        return Some(None);
    }
    let outer = entry.outer.as_ref()?;
    let mut length = outer.bytes;
    let mut corrupt = Vec::new();
    for effect in &entry.effects {
        match effect {
            OrderEffect::Truncated(part) => length = (outer.bytes as f64 * part) as u64,
            OrderEffect::Corrupt => {
                let middle = outer.bytes / 2;
                corrupt.push(middle..middle.saturating_add(CORRUPT));
            }
            OrderEffect::WrongCrc => corrupt.extend(checksums_in_directories(&outer.path)),
            _ => {}
        }
    }
    let tag = format!("\"{fme_id}-{:x}\"", outer.bytes);
    Some(Some(Served { path: outer.path.clone(), length, corrupt, tag }))
}

/// Where the directories of the zip, and of the zips that lie in it as they are, have the members' checksums.
fn checksums_in_directories(path: &Path) -> Vec<Range<u64>> {
    let bytes = std::fs::read(path).unwrap_or_default();
    let entries = bytes.windows(4).enumerate().filter(|(_, four)| four == b"PK\x01\x02");
    entries.map(|(at, _)| at as u64 + 16).map(|at| at..at + 4).collect()
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Wanted {
    Whole,
    Part(Range<u64>),
    Impossible,
}

fn range(call: &Call, served: &Served) -> Wanted {
    if call.header("if-range").is_some_and(|tag| tag != served.tag) {
        return Wanted::Whole;
    }
    call.header("range").map_or(Wanted::Whole, |text| parse_range(text, served.length))
}

/// One range of bytes; anything unusual is answered with the whole file, as the RFC allows.
fn parse_range(text: &str, length: u64) -> Wanted {
    let Some((first, last)) = text.strip_prefix("bytes=").and_then(|range| range.split_once('-')) else {
        return Wanted::Whole;
    };
    let wanted = match (first.trim().parse::<u64>(), last.trim().parse::<u64>()) {
        (Ok(first), Ok(last)) if first <= last => first..last.saturating_add(1).min(length),
        (Ok(first), Err(_)) if last.trim().is_empty() => first..length,
        (Err(_), Ok(count)) if first.trim().is_empty() => length.saturating_sub(count)..length,
        _ => return Wanted::Whole,
    };
    if wanted.start < wanted.end { Wanted::Part(wanted) } else { Wanted::Impossible }
}

fn send(
    server: &Arc<Server>,
    behaviour: &Behaviour,
    call: &Call,
    served: Served,
    wanted: Wanted,
    manner: &Manner,
) -> Response {
    let length = served.length;
    let (status, part) = match wanted {
        Wanted::Whole => (200, 0..length),
        Wanted::Part(part) => (206, part),
        Wanted::Impossible => {
            let mut response = reply::html(416, "Range Not Satisfiable");
            insert(&mut response, header::CONTENT_RANGE, &format!("bytes */{length}"));
            return response;
        }
    };
    let mut response = reply::empty(status);
    insert(&mut response, header::CONTENT_TYPE, "application/zip");
    insert(&mut response, header::CONTENT_LENGTH, &(part.end - part.start).to_string());
    insert(&mut response, header::ETAG, &served.tag);
    if behaviour.scenario.range {
        insert(&mut response, header::ACCEPT_RANGES, "bytes");
    }
    if status == 206 {
        insert(
            &mut response,
            header::CONTENT_RANGE,
            &format!("bytes {}-{}/{length}", part.start, part.end - 1),
        );
    }
    if call.method == Method::GET {
        *response.body_mut() = Body::from_stream(pieces(Sending {
            server: Arc::clone(server),
            half: part.start + (part.end - part.start) / 2,
            second_half: manner.second_half,
            served,
            at: part.start,
            end: part.end,
            file: None,
            rate: manner.rate.or(behaviour.scenario.download_rate),
            due: Instant::now(),
            peer: call.peer.clone(),
        }));
    }
    response
}

fn insert(response: &mut Response, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

/// A body on its way.
struct Sending {
    server: Arc<Server>,
    served: Served,
    at: u64,
    end: u64,
    half: u64,
    second_half: SecondHalf,
    file: Option<File>,
    rate: Option<u64>,
    /// When the next piece may leave.
    due: Instant,
    peer: Peer,
}

fn pieces(sending: Sending) -> impl stream::Stream<Item = io::Result<Bytes>> + Send {
    stream::try_unfold(sending, |mut sending| async move {
        if sending.at >= sending.half {
            match sending.second_half {
                SecondHalf::Comes => {}
                SecondHalf::Reset => {
                    sending.peer.reset();
                    return Err(io::ErrorKind::ConnectionReset.into());
                }
                SecondHalf::Stalls => {
                    sending.server.closing.cancelled().await;
                    return Err(io::ErrorKind::ConnectionAborted.into());
                }
            }
        }
        if sending.at >= sending.end {
            return Ok(None);
        }
        let piece = sending.next_piece().await?;
        Ok(Some((piece, sending)))
    })
}

impl Sending {
    async fn next_piece(&mut self) -> io::Result<Bytes> {
        // A slow host sends small pieces often, not large ones seldom.
        let size = self.rate.map_or(PIECE, |rate| (rate / 10).clamp(1, PIECE));
        let stop = if self.second_half == SecondHalf::Comes { self.end } else { self.half };
        let count = size.min(stop - self.at);
        tokio::select! {
            () = tokio::time::sleep_until(self.due) => {}
            () = self.server.closing.cancelled() => return Err(io::ErrorKind::ConnectionAborted.into()),
        }
        if let Some(rate) = self.rate {
            self.due += Duration::from_secs_f64(count as f64 / rate as f64);
        }
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                let mut file = File::open(&self.served.path).await?;
                file.seek(SeekFrom::Start(self.at)).await?;
                self.file.insert(file)
            }
        };
        let mut piece = vec![0; count as usize];
        file.read_exact(&mut piece).await?;
        for corrupt in &self.served.corrupt {
            for (offset, byte) in piece.iter_mut().enumerate() {
                if corrupt.contains(&(self.at + offset as u64)) {
                    *byte = !*byte;
                }
            }
        }
        self.at += count;
        self.server.log().download_bytes += count;
        Ok(Bytes::from(piece))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        for (text, wanted) in [
            ("bytes=0-0", Wanted::Part(0..1)),
            ("bytes=10-", Wanted::Part(10..100)),
            ("bytes=-5", Wanted::Part(95..100)),
            ("bytes=90-200", Wanted::Part(90..100)),
            ("bytes=100-", Wanted::Impossible),
            ("bytes=-0", Wanted::Impossible),
            ("bytes=5-2", Wanted::Whole),
            ("bytes=0-1,5-6", Wanted::Whole),
            ("pages=1-2", Wanted::Whole),
        ] {
            assert_eq!(parse_range(text, 100), wanted, "{text}");
        }
    }
}
