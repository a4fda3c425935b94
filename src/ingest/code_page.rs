//! Code pages of dBASE tables, as the table itself or the `.cpg` beside it states them.

use std::ffi::{CStr, CString};

/// A code page that is neither UTF-8 nor Windows' Latin-1, by iconv's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CodePage(String);

impl CodePage {
    /// The one that the text of a `.cpg` names: `1250`, `ANSI 1250`, `OEM 852`, `ISO 88592`, `8859-2` …
    pub(super) fn named(text: &str) -> Option<Self> {
        let plain: String = text.chars().filter(char::is_ascii_alphanumeric).take(32).collect();
        let plain = plain.to_ascii_uppercase();
        let digits = plain.trim_start_matches(|letter: char| letter.is_ascii_alphabetic());
        match (&plain[..plain.len() - digits.len()], digits.strip_prefix("8859")) {
            ("LDID", _) => Self::of_driver(digits.parse().ok()?),
            ("" | "ISO", Some(part @ ("2" | "3" | "4" | "5" | "7" | "9" | "10" | "13" | "15" | "16"))) => {
                Some(Self(format!("ISO-8859-{part}")))
            }
            ("" | "ANSI" | "OEM" | "CP" | "WINDOWS" | "IBM", None) => Self::numbered(digits.parse().ok()?),
            _ => None,
        }
    }

    /// The one of a table's language driver, as Esri and GDAL understand that byte.
    pub(super) fn of_driver(driver: u8) -> Option<Self> {
        Self::numbered(match driver {
            1 | 9 | 11 | 13 | 15 | 17 | 21 | 24 | 25 | 27 => 437,
            2 | 10 | 14 | 16 | 18 | 20 | 22 | 26 | 29 | 37 | 55 => 850,
            31 | 34 | 35 | 64 | 100 | 135 => 852,
            106 | 134 => 737,
            107 | 136 => 857,
            36 => 860,
            103 => 861,
            28 | 108 => 863,
            8 | 23 | 102 => 865,
            38 | 101 => 866,
            80 | 124 => 874,
            19 | 123 => 932,
            77 | 122 => 936,
            78 | 121 => 949,
            79 | 120 => 950,
            200 => 1250,
            201 => 1251,
            202 => 1254,
            203 => 1253,
            204 => 1257,
            _ => return None,
        })
    }

    fn numbered(number: u16) -> Option<Self> {
        let is_other = matches!(number, 437..=950 | 1250..=1258) && number != 1252;
        is_other.then(|| Self(format!("CP{number}")))
    }

    /// The text up to the first NUL; `None` where this machine's iconv does not know the code page.
    pub(super) fn decode(&self, bytes: &[u8]) -> Option<String> {
        let text = bytes.split(|&byte| byte == 0).next().unwrap_or_default();
        let (text, page) = (CString::new(text).ok()?, CString::new(&*self.0).ok()?);
        // SAFETY: three C strings that outlive the call; what comes back is one that we own.
        let recoded = unsafe { gdal_sys::CPLRecode(text.as_ptr(), page.as_ptr(), c"UTF-8".as_ptr()) };
        if recoded.is_null() {
            return None;
        }
        // SAFETY: it is not null and a C string made by GDAL. Where nothing was recoded it is the text as it was.
        let decoded = unsafe { CStr::from_ptr(recoded) }.to_str().ok().map(str::to_owned);
        // SAFETY: GDAL's strings are freed by VSIFree, once.
        unsafe { gdal_sys::VSIFree(recoded.cast()) };
        decoded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_as_writers_put_them() {
        let page = |name: &str| Some(CodePage(name.to_owned()));
        for text in ["1250", "ANSI 1250\r\n", "windows-1250", "cp1250", "LDID/200"] {
            assert_eq!(CodePage::named(text), page("CP1250"), "{text:?}");
        }
        for text in ["88592", "ISO 88592", "ISO-8859-2", "8859_2"] {
            assert_eq!(CodePage::named(text), page("ISO-8859-2"), "{text:?}");
        }
        assert_eq!(CodePage::named("OEM 852"), page("CP852"));
        // What the bytes themselves tell, and what nobody knows.
        for text in
            ["UTF-8", "UTF8", "1252", "ANSI 1252", "88591", "65001", "", "//../x", "ISO-2022-CN-EXT", "é"]
        {
            assert_eq!(CodePage::named(text), None, "{text:?}");
        }
    }
}
