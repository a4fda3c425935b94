//! Base64 in the two alphabets that the wire uses.

const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const URL_SAFE: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// With `+` and `/`, padded: PEM bodies.
pub(crate) fn standard(bytes: &[u8]) -> String {
    encode(bytes, STANDARD)
}

/// With `-` and `_`, padded: `FilePath`, `DatasetPath`, access tokens.
pub(crate) fn url_safe(bytes: &[u8]) -> String {
    encode(bytes, URL_SAFE)
}

fn encode(bytes: &[u8], alphabet: &[u8; 64]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group =
            chunk.iter().fold(0_u32, |group, byte| group << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for position in 0..4 {
            if position <= chunk.len() {
                text.push(char::from(alphabet[(group >> (18 - 6 * position) & 63) as usize]));
            } else {
                text.push('=');
            }
        }
    }
    text
}

/// The bytes of an unpadded or padded URL-safe text (the parts of a JWT), `None` if it is not one.
pub(crate) fn decode_url_safe(text: &str) -> Option<Vec<u8>> {
    let text = text.trim_end_matches('=');
    if text.len() % 4 == 1 {
        return None;
    }
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    let (mut group, mut bits) = (0_u32, 0);
    for symbol in text.bytes() {
        let value = URL_SAFE.iter().position(|candidate| *candidate == symbol)?;
        group = (group << 6 | value as u32) & 0xff_ffff;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((group >> bits) as u8);
        }
    }
    Some(bytes)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_paths_of_the_recordings() {
        assert_eq!(url_safe(b"wb300"), "d2IzMDA=");
        assert_eq!(url_safe(b"\\\\share\\IMD\\TINY_64px.zip"), "XFxzaGFyZVxJTURcVElOWV82NHB4LnppcA==");
    }

    #[test]
    fn round_trip_of_all_lengths() {
        for length in 0..40_u8 {
            let bytes: Vec<u8> = (0..length).map(|byte| byte.wrapping_mul(83)).collect();
            assert_eq!(decode_url_safe(&url_safe(&bytes)).unwrap(), bytes);
        }
        assert_eq!(decode_url_safe("a"), None);
        assert_eq!(decode_url_safe("a+b/"), None);
        assert_eq!(standard(&[0xfb, 0xff]), "+/8=");
    }
}
