//! A text that must not be seen: not in logs, not in errors, not in memory after use.

use std::fmt;
use std::io::{self, Read};

use zeroize::Zeroizing;

/// Bytes that are overwritten when dropped and never printed.
pub(super) struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes over a text; the caller's copy is this one.
    pub(super) fn new(text: String) -> Self {
        Self(Zeroizing::new(text.into_bytes()))
    }

    /// Nothing yet, with room for so many bytes.
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self(Zeroizing::new(Vec::with_capacity(bytes)))
    }

    /// Adds all that a reader gives.
    ///
    /// # Errors
    /// The reader's; what was read is overwritten all the same.
    pub(super) fn read_from(&mut self, mut reader: impl Read) -> io::Result<()> {
        reader.read_to_end(&mut self.0).map(drop)
    }

    /// The bytes, for the one place that sends or parses them.
    pub(super) fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}
