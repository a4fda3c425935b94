//! The little of dBASE III that value attribute tables (`.tif.vat.dbf`) need.
//!
//! Layout: 32 bytes of header (records at 4, header length at 8, record length at 10, language driver at 29), then one
//! descriptor of 32 bytes per field (name 11 bytes, type at 11, length at 16) until 0x0D; records of fixed width text, each
//! with a deletion mark in front.

use super::code_page::CodePage;

/// A table of texts, blanks trimmed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Table {
    /// Name and type letter (`N`, `F`, `C` …) of each field.
    pub(super) fields: Vec<(String, char)>,
    /// Records that are not marked as deleted.
    pub(super) records: Vec<Vec<String>>,
}

/// Most records that are looked at: one per value of a 16 bit raster.
const MOST_RECORDS: usize = 65_536;

/// Parses a table; `None` when the bytes are not one. A truncated table gives the records that are whole. `cpg` is what
/// stands in the file beside it that names its code page: that counts more than the table's own word.
pub(super) fn parse(bytes: &[u8], cpg: Option<&str>) -> Option<Table> {
    let version = *bytes.first()?;
    if version & 0x07 != 3 {
        return None;
    }
    let records = u32::from_le_bytes(bytes.get(4..8)?.try_into().ok()?) as usize;
    let header = usize::from(u16::from_le_bytes(bytes.get(8..10)?.try_into().ok()?));
    let width = usize::from(u16::from_le_bytes(bytes.get(10..12)?.try_into().ok()?));
    let own_page = || CodePage::of_driver(*bytes.get(29)?);
    let page = cpg.map_or_else(own_page, CodePage::named);
    let text = |bytes: &[u8]| text(bytes, page.as_ref());
    let mut fields = Vec::new();
    let mut spans = Vec::new();
    let mut start = 1;
    for descriptor in bytes.get(32..header)?.chunks_exact(32) {
        if descriptor[0] == 0x0D {
            break;
        }
        let name = descriptor[..11].split(|&byte| byte == 0).next().unwrap_or_default();
        let length = usize::from(descriptor[16]);
        fields.push((text(name), char::from(descriptor[11])));
        spans.push(start..start + length);
        start += length;
    }
    if fields.is_empty() || start > width {
        return None;
    }
    let records = bytes
        .get(header..)?
        .chunks_exact(width)
        .take(records.min(MOST_RECORDS))
        .filter(|record| record[0] != b'*')
        .map(|record| spans.iter().map(|span| text(&record[span.clone()])).collect())
        .collect();
    Some(Table { fields, records })
}

/// What Windows has where Latin-1 has control characters (0x80 to 0x9F): dashes, quotes, š.
const WINDOWS: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}',
    '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

/// UTF-8 where it is valid, whatever is stated: no other text looks like it by chance. Else the code page that is stated,
/// else Windows' Latin-1, code page 1252 (the usual one of these files).
fn text(bytes: &[u8], page: Option<&CodePage>) -> String {
    let windows = |byte: u8| match byte {
        0x80..=0x9F => WINDOWS[usize::from(byte - 0x80)],
        _ => char::from(byte),
    };
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => page
            .and_then(|page| page.decode(bytes))
            .unwrap_or_else(|| bytes.iter().map(|&byte| windows(byte)).collect()),
    };
    text.trim_matches(|c: char| c == '\0' || c.is_whitespace()).to_owned()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Writes a table the way ArcGIS does.
    pub(in crate::ingest) fn write(fields: &[(&str, char, u8)], records: &[Vec<&str>]) -> Vec<u8> {
        let header = 32 + 32 * fields.len() + 1;
        let width = 1 + fields.iter().map(|field| usize::from(field.2)).sum::<usize>();
        let mut bytes = vec![0; 32];
        bytes[0] = 3;
        bytes[4..8].copy_from_slice(&(records.len() as u32).to_le_bytes());
        bytes[8..10].copy_from_slice(&(header as u16).to_le_bytes());
        bytes[10..12].copy_from_slice(&(width as u16).to_le_bytes());
        for (name, kind, length) in fields {
            let mut descriptor = [0; 32];
            descriptor[..name.len()].copy_from_slice(name.as_bytes());
            descriptor[11] = *kind as u8;
            descriptor[16] = *length;
            bytes.extend(descriptor);
        }
        bytes.push(0x0D);
        for record in records {
            bytes.push(b' ');
            for ((_, _, length), value) in fields.iter().zip(record) {
                let mut cell = value.as_bytes().to_vec();
                cell.resize(usize::from(*length), b' ');
                bytes.extend(cell);
            }
        }
        bytes.push(0x1A);
        bytes
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(rows in prop::collection::vec(("-?[0-9]{1,6}", "[A-Za-z][a-zé ]{0,18}[a-z]"), 0..20)) {
            let records: Vec<Vec<&str>> = rows.iter().map(|(v, n)| vec![v.as_str(), n.as_str()]).collect();
            let table = parse(&write(&[("Value", 'N', 10), ("Class_Name", 'C', 60)], &records), None).unwrap();
            prop_assert_eq!(table.fields, vec![("Value".to_owned(), 'N'), ("Class_Name".to_owned(), 'C')]);
            let expected: Vec<Vec<String>> = rows.iter().map(|(v, n)| vec![v.clone(), n.clone()]).collect();
            prop_assert_eq!(table.records, expected);
        }

        #[test]
        fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..400), version in Just(3u8)) {
            let mut bytes = bytes;
            if let Some(first) = bytes.first_mut() {
                *first = version;
            }
            let _ = parse(&bytes, None);
        }
    }

    #[test]
    fn deleted_and_truncated_records_are_left_out() {
        let mut bytes =
            write(&[("VALUE", 'N', 4), ("NAME", 'C', 4)], &[vec!["1", "a"], vec!["2", "b"], vec!["3", "c"]]);
        let first_record = 32 + 64 + 1;
        bytes[first_record] = b'*';
        bytes.truncate(bytes.len() - 3);
        assert_eq!(parse(&bytes, None).unwrap().records, [["2", "b"]]);
        bytes[first_record + 9 + 5] = 0xE9;
        assert_eq!(parse(&bytes, None).unwrap().records, [["2", "é"]]);
    }
    #[test]
    fn names_in_the_code_page_of_windows() {
        assert_eq!(
            text(b"Land \x96 \x93Wald\x94, \x8Auma, for\xEAt\x80", None),
            "Land – “Wald”, Šuma, forêt€"
        );
        assert_eq!(text("Wälder – x".as_bytes(), None), "Wälder – x");
    }

    #[test]
    fn names_in_the_code_page_that_is_stated() {
        let mut bytes = write(&[("VALUE", 'N', 4), ("NAME", 'C', 4)], &[vec!["1", "pole"]]);
        let name = bytes.len() - 5;
        bytes[name..name + 4].copy_from_slice(b"bia\xB3");
        let name = |bytes: &[u8], cpg| parse(bytes, cpg).unwrap().records[0][1].clone();
        assert_eq!(name(&bytes, None), "bia³");
        bytes[29] = 0xC8;
        assert_eq!(name(&bytes, None), "biał");
        assert_eq!(name(&bytes, Some("OEM 852")), "bia│");
        // Where the file beside it says nothing that is known, nor what it is, it is as it ever was.
        assert_eq!(name(&bytes, Some("UTF-8")), "bia³");
        assert_eq!(name(&bytes, Some("nonsense")), "bia³");
    }
}
