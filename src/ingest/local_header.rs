//! The header in front of each member of a zip. What it says is a hint: only the directory at the end of the zip counts.

/// Bytes of a header without its signature, name and extra fields.
pub(super) const FIXED: usize = 26;

/// Where the length of a member is said not to fit into 32 bits.
const ELSEWHERE: u32 = u32::MAX;

/// How the bytes of a member lie in the zip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    /// As they are.
    Stored,
    /// As a deflate stream, which knows its own end.
    Deflated,
    /// In a way that only the directory's reader deals with, or refuses.
    Other,
}

/// What a local header says, as far as it helps to unpack a member before the directory is here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LocalHeader {
    pub(super) packing: Packing,
    /// Its name ends with `.zip`.
    pub(super) is_zip: bool,
    /// Bytes in the zip; `None` where they are said behind them only.
    pub(super) length: Option<u64>,
}

/// The lengths of name and extra fields, which follow the fixed part.
pub(super) fn following(fixed: &[u8; FIXED]) -> (usize, usize) {
    (short(fixed, 22).into(), short(fixed, 24).into())
}

impl LocalHeader {
    /// Reads what comes after the signature.
    pub(super) fn parse(fixed: &[u8; FIXED], name: &[u8], extra: &[u8]) -> Self {
        const ENCRYPTED: u16 = 1;
        const SAID_BEHIND: u16 = 1 << 3;
        const PATCHED_OR_STRONGLY_ENCRYPTED: u16 = 1 << 5 | 1 << 6 | 1 << 13;
        let flags = short(fixed, 2);
        let packing = match short(fixed, 4) {
            _ if flags & (ENCRYPTED | PATCHED_OR_STRONGLY_ENCRYPTED) != 0 => Packing::Other,
            0 => Packing::Stored,
            8 => Packing::Deflated,
            _ => Packing::Other,
        };
        let length = match long(fixed, 14) {
            _ if flags & SAID_BEHIND != 0 => None,
            ELSEWHERE => length_in_extra(extra),
            length => Some(length.into()),
        };
        let is_zip = name.len() > 4 && name[name.len() - 4..].eq_ignore_ascii_case(b".zip");
        Self { packing, is_zip, length }
    }
}

/// The packed length in the zip64 field, where both lengths are.
fn length_in_extra(mut extra: &[u8]) -> Option<u64> {
    const ZIP64: u16 = 1;
    while let Some((head, rest)) = extra.split_first_chunk::<4>() {
        let content = rest.get(..short(head, 2).into())?;
        if short(head, 0) == ZIP64 {
            return Some(u64::from_le_bytes(content.get(8..16)?.try_into().ok()?));
        }
        extra = &rest[content.len()..];
    }
    None
}

fn short(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn long(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(flags: u16, method: u16, length: u32, name: &[u8], extra: &[u8]) -> LocalHeader {
        let mut fixed = [0; FIXED];
        fixed[2..4].copy_from_slice(&flags.to_le_bytes());
        fixed[4..6].copy_from_slice(&method.to_le_bytes());
        fixed[14..18].copy_from_slice(&length.to_le_bytes());
        LocalHeader::parse(&fixed, name, extra)
    }

    #[test]
    fn what_helps_is_understood() {
        let known = |packing, is_zip, length| LocalHeader { packing, is_zip, length };
        assert_eq!(header(0, 8, 7, b"a.tif", b""), known(Packing::Deflated, false, Some(7)));
        assert_eq!(header(8, 8, 0, b"a.tif", b""), known(Packing::Deflated, false, None));
        assert_eq!(header(0, 0, 9, b"Results/a.ZIP", b""), known(Packing::Stored, true, Some(9)));
        assert_eq!(header(0, 0, 9, b".zip", b""), known(Packing::Stored, false, Some(9)));
        // deflate64, and all that is encrypted
        assert_eq!(header(0, 9, 9, b"a", b"").packing, Packing::Other);
        for flags in [1, 1 | 1 << 6, 1 << 13] {
            assert_eq!(header(flags, 8, 9, b"a", b"").packing, Packing::Other);
        }
    }

    #[test]
    fn long_members_say_their_length_in_an_extra_field() {
        let lengths = [9u64.to_le_bytes(), (5u64 << 32).to_le_bytes()].concat();
        let field = |content: &[u8]| [&[1, 0, content.len() as u8, 0], content].concat();
        let before = [&[0x55, 0x54, 2, 0, 7, 7][..], &field(&lengths)].concat();
        assert_eq!(header(0, 8, ELSEWHERE, b"a", &before).length, Some(5 << 32));
        for extra in [&b""[..], &field(&lengths[..8]), &before[..20], &[1, 0, 99, 0]] {
            assert_eq!(header(0, 8, ELSEWHERE, b"a", extra).length, None, "{extra:?}");
        }
    }
}
