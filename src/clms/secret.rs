//! A text that must not be seen: not in logs, not in errors, not in memory after use.

use std::fmt;

/// Bytes that are overwritten when dropped and never printed.
pub(super) struct Secret(Vec<u8>);

impl Secret {
    /// Takes over a text; the caller's copy is this one.
    pub(super) fn new(text: String) -> Self {
        Self(text.into_bytes())
    }

    /// The bytes, for the one place that sends or parses them.
    pub(super) fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.fill(0);
        // Keeps the compiler from leaving out writes to memory that is about to be freed.
        std::hint::black_box(&self.0);
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}
