//! The little DER and PEM that a PKCS#1 key needs.

use super::base64;

/// The PKCS#1 `RSAPrivateKey` inside a PKCS#8 `PrivateKeyInfo`: SEQUENCE { version, algorithm, OCTET STRING }.
pub(crate) fn pkcs1_of_pkcs8(pkcs8: &[u8]) -> Option<&[u8]> {
    let (0x30, body, _) = element(pkcs8)? else { return None };
    let (0x02, _, rest) = element(body)? else { return None };
    let (0x30, _, rest) = element(rest)? else { return None };
    let (0x04, key, _) = element(rest)? else { return None };
    Some(key)
}

/// Tag, content and what follows the first element.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = bytes.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = if *first < 0x80 {
        (usize::from(*first), rest)
    } else {
        let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
        (digits.iter().fold(0_usize, |length, digit| length << 8 | usize::from(*digit)), rest)
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((*tag, content, rest))
}

/// A PEM text with lines of 64 characters.
pub(crate) fn pem(label: &str, bytes: &[u8]) -> String {
    let body = base64::standard(bytes);
    let mut text = format!("-----BEGIN {label}-----\n");
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, next) = rest.split_at(rest.len().min(64));
        text.push_str(line);
        text.push('\n');
        rest = next;
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_found_inside_and_rubbish_is_not() {
        let pkcs8 = [0x30, 0x09, 0x02, 0x01, 0x00, 0x30, 0x00, 0x04, 0x02, 0xaa, 0xbb];
        assert_eq!(pkcs1_of_pkcs8(&pkcs8), Some(&[0xaa, 0xbb][..]));
        for cut in 0..pkcs8.len() {
            assert_eq!(pkcs1_of_pkcs8(&pkcs8[..cut]), None);
        }
    }

    #[test]
    fn pem_lines_are_short() {
        let text = pem("RSA PRIVATE KEY", &[7; 200]);
        assert!(text.lines().all(|line| line.len() <= 64));
        assert!(text.ends_with("-----END RSA PRIVATE KEY-----\n"));
    }
}
