//! Answers that come compressed although nobody asked for it: some proxies and file hosts do that.

use std::io::Read;

use flate2::read::MultiGzDecoder;
use reqwest::header::{CONTENT_ENCODING, HeaderMap};

/// How a body is wrapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    /// Not at all.
    Plain,
    /// As a gzip stream.
    Gzip,
    /// In a way that this release cannot undo.
    Unknown,
}

impl Coding {
    /// As the headers of the answer say.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let Some(named) = headers.get(CONTENT_ENCODING) else { return Self::Plain };
        match named.to_str().unwrap_or("?").trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Self::Plain,
            "gzip" | "x-gzip" => Self::Gzip,
            _ => Self::Unknown,
        }
    }
}

/// The content of a gzip stream, at most `limit` bytes.
///
/// # Errors
/// What is wrong, as a fragment about the answer.
pub(super) fn gunzip(wrapped: &[u8], limit: usize) -> Result<Vec<u8>, String> {
    let mut content = Vec::new();
    let mut reader = MultiGzDecoder::new(wrapped).take(limit as u64 + 1);
    reader.read_to_end(&mut content).map_err(|error| format!("its gzip stream is broken ({error})"))?;
    if content.len() > limit {
        return Err(format!("it is larger than {} MB", limit >> 20));
    }
    Ok(content)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(super) mod tests {
    use std::io::Write;

    use super::*;

    pub(in crate::clms) fn gzip(content: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn a_stream_is_unwrapped_up_to_the_limit() {
        let wrapped = gzip(&[7; 5000]);
        assert_eq!(gunzip(&wrapped, 5000).unwrap(), [7; 5000]);
        assert!(gunzip(&wrapped, 4999).unwrap_err().contains("larger"));
        assert!(gunzip(&wrapped[..wrapped.len() - 9], 5000).unwrap_err().contains("broken"));
    }

    #[test]
    fn only_gzip_is_known() {
        let named =
            |text: &str| Coding::of(&[(CONTENT_ENCODING, text.parse().unwrap())].into_iter().collect());
        assert_eq!(Coding::of(&HeaderMap::new()), Coding::Plain);
        assert_eq!(
            (named("identity"), named("GZIP"), named("br")),
            (Coding::Plain, Coding::Gzip, Coding::Unknown)
        );
    }
}
