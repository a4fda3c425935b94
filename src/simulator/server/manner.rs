//! How an answer is sent: late, slowly, or not to its end.

use std::{io, sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes},
    http::{HeaderValue, header},
    response::Response,
};
use futures_util::stream;
use tokio::time::Instant;

use super::{Server, reply};
use crate::simulator::{fault::HttpEffect, scenario::Endpoint};

/// What becomes of a body after its first half.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum SecondHalf {
    /// It follows.
    #[default]
    Comes,
    /// The connection is reset.
    Reset,
    /// Nothing comes any more, and the connection stays open.
    Stalls,
}

/// The manner of one answer.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Manner {
    delay: Duration,
    /// Bytes of the body in a second.
    pub(crate) rate: Option<u64>,
    pub(crate) second_half: SecondHalf,
}

impl Manner {
    /// `None` for an effect that is more than a manner.
    pub(crate) fn of(effect: &HttpEffect, endpoint: Endpoint) -> Option<Self> {
        let usual = Self::default();
        match effect {
            HttpEffect::Delay(delay) => Some(Self { delay: *delay, ..usual }),
            HttpEffect::Rate(rate) => Some(Self { rate: Some(*rate), ..usual }),
            HttpEffect::Stall => Some(Self { second_half: SecondHalf::Stalls, ..usual }),
            HttpEffect::Reset if endpoint == Endpoint::Download => {
                Some(Self { second_half: SecondHalf::Reset, ..usual })
            }
            _ => None,
        }
    }

    /// Waits until the answer may begin, or the simulator closes.
    pub(crate) async fn begin(&self, server: &Server) {
        tokio::select! {
            () = tokio::time::sleep(self.delay) => {}
            () = server.closing.cancelled() => {}
        }
    }

    /// The same answer, sent in this manner.
    pub(crate) async fn slow(self, server: &Arc<Server>, mut response: Response) -> Response {
        if self.rate.is_none() && self.second_half == SecondHalf::Comes {
            return response;
        }
        let body = std::mem::take(response.body_mut());
        let Ok(body) = axum::body::to_bytes(body, usize::MAX).await else { return reply::empty(500) };
        response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
        let server = Arc::clone(server);
        let sending = stream::try_unfold((body, 0, Instant::now()), move |(body, at, due)| {
            let server = Arc::clone(&server);
            async move {
                if at >= body.len() {
                    return Ok::<_, io::Error>(None);
                }
                tokio::select! {
                    () = tokio::time::sleep_until(due) => {}
                    () = server.closing.cancelled() => return Err(io::ErrorKind::ConnectionAborted.into()),
                }
                if self.second_half == SecondHalf::Stalls && at > 0 {
                    server.closing.cancelled().await;
                    return Err(io::ErrorKind::ConnectionAborted.into());
                }
                let rate = self.rate.and_then(|rate| usize::try_from(rate).ok());
                let size = rate.unwrap_or(body.len().div_ceil(2)).clamp(1, body.len() - at);
                let piece: Bytes = body.slice(at..at + size);
                let due = if rate.is_some() { due + Duration::from_secs(1) } else { due };
                Ok(Some((piece, (body, at + size, due))))
            }
        });
        *response.body_mut() = Body::from_stream(sending);
        response
    }
}
