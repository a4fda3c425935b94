//! Checksums of whole files: taken when an entry is made, proven by `clmsfs cache verify`.

use std::fmt;
use std::io::{self, Read};
use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// How much of a file is read between two looks at the progress.
pub const PIECE: u64 = 1 << 20;

/// The SHA-256 of a file; hexadecimal as text.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Checksum([u8; 32]);

impl Checksum {
    /// Reads to the end. `each` gets the bytes of every piece of [`PIECE`] bytes (the last one may be shorter)
    /// after it was read; `Break` ends the work with `None`.
    ///
    /// # Errors
    /// What the reader said.
    pub fn of(
        mut reader: impl Read,
        mut each: impl FnMut(u64) -> ControlFlow<()>,
    ) -> io::Result<Option<Self>> {
        let mut hasher = Sha256::new();
        let mut buffer = Vec::with_capacity(PIECE as usize);
        loop {
            buffer.clear();
            let length = reader.by_ref().take(PIECE).read_to_end(&mut buffer)? as u64;
            if length == 0 {
                return Ok(Some(Self(hasher.finalize().into())));
            }
            hasher.update(&buffer);
            if each(length).is_break() {
                return Ok(None);
            }
        }
    }

    /// As a multihash (the prefix says "SHA-256, 32 bytes"), which is how STAC writes checksums.
    pub fn multihash(self) -> String {
        format!("1220{self}")
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Checksum({self})")
    }
}

impl From<Checksum> for String {
    fn from(checksum: Checksum) -> Self {
        checksum.to_string()
    }
}

impl TryFrom<String> for Checksum {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let mut bytes = [0; 32];
        let digits = |position: usize| text.get(2 * position..2 * position + 2);
        let plain = text.len() == 64 && text.bytes().all(|digit| digit.is_ascii_hexdigit());
        for (position, byte) in bytes.iter_mut().enumerate() {
            let digits = digits(position).filter(|_| plain);
            *byte = digits
                .and_then(|digits| u8::from_str_radix(digits, 16).ok())
                .ok_or_else(|| format!("'{text}' is no SHA-256"))?;
        }
        Ok(Self(bytes))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(bytes: &[u8]) -> Checksum {
        Checksum::of(bytes, |_| ControlFlow::Continue(())).unwrap().unwrap()
    }

    #[test]
    fn it_is_the_sha_256_of_fips_180() {
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(of(b"abc").to_string(), abc);
        assert_eq!(of(b"abc").multihash(), format!("1220{abc}"));
        assert_eq!(of(b"").to_string(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }

    #[test]
    fn pieces_are_told_and_can_be_the_last() {
        let bytes = vec![7; 2 * PIECE as usize + 5];
        let mut told = Vec::new();
        let all = Checksum::of(&*bytes, |length| {
            told.push(length);
            ControlFlow::Continue(())
        });
        assert_eq!(all.unwrap(), Some(of(&bytes)));
        assert_eq!(told, [PIECE, PIECE, 5]);
        assert_eq!(Checksum::of(&*bytes, |_| ControlFlow::Break(())).unwrap(), None);
    }

    proptest! {
        #[test]
        fn text_comes_back_and_other_text_is_refused(bytes: Vec<u8>, other in "[0-9a-gé+]{0,70}") {
            let checksum = of(&bytes);
            let text = serde_json::to_string(&checksum).unwrap();
            prop_assert_eq!(serde_json::from_str::<Checksum>(&text).unwrap(), checksum);
            let plain = other.len() == 64 && other.bytes().all(|digit| digit.is_ascii_hexdigit());
            prop_assert_eq!(Checksum::try_from(other).is_ok(), plain);
        }
    }
}
