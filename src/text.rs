//! Texts of others before they are shown: names in packages and in the catalogue, words of the service, names of
//! processes, what libraries say. None of it may play with a terminal, forge a line of a log, or turn the direction in
//! which a name reads.

/// Whether a letter changes nothing but the place where it stands.
///
/// Not so are control characters (ESC and line ends among them), separators of lines and paragraphs, marks that turn the
/// direction of writing, and letters that nobody sees. The joiners of Persian and of Indic scripts are words' own letters.
pub fn is_harmless(letter: char) -> bool {
    let is_hidden = matches!(letter,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}');
    !letter.is_control() && !is_hidden
}

/// The text with a replacement character for each letter that is not harmless.
pub fn printable(text: &str) -> String {
    text.chars().map(|letter| if is_harmless(letter) { letter } else { '\u{fffd}' }).collect()
}

/// The same for a text of many lines, which stay.
pub fn printable_lines(text: &str) -> String {
    let shown =
        |letter| if matches!(letter, '\n' | '\t') || is_harmless(letter) { letter } else { '\u{fffd}' };
    text.chars().map(shown).collect()
}

/// The same in one line: line ends and tabs are blanks.
pub fn one_line(text: &str) -> String {
    let blank = |letter| if matches!(letter, '\n' | '\r' | '\t') { ' ' } else { letter };
    printable(&text.chars().map(blank).collect::<String>())
}

/// A JSON document that says the same in letters that are harmless. Its own line ends stay.
pub fn harmless_json(json: String) -> String {
    // as nearly all are
    if json.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\n' | b'\r' | b'\t')) {
        return json;
    }
    let mut safe = String::with_capacity(json.len());
    for letter in json.chars() {
        // Outside of strings JSON has no such letters, and within them only those that need no escape by its rules.
        if is_harmless(letter) || matches!(letter, '\n' | '\r' | '\t') {
            safe.push(letter);
        } else {
            let mut units = [0; 2];
            for unit in letter.encode_utf16(&mut units) {
                safe.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    safe
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_plays_with_a_terminal_is_replaced() {
        assert_eq!(printable("a\u{1b}[31mb\n"), "a\u{fffd}[31mb\u{fffd}");
        assert_eq!(printable("\u{9b}2J\u{7f}\0"), "\u{fffd}2J\u{fffd}\u{fffd}");
        assert_eq!(printable("gpj.\u{202e}fit\u{2066}"), "gpj.\u{fffd}fit\u{fffd}");
        assert_eq!(printable_lines("a\tb\r\n\u{1b}[31m"), "a\tb\u{fffd}\n\u{fffd}[31m");
        assert_eq!(one_line("one\ntwo\r\n\tthree\u{1b}"), "one two   three\u{fffd}");
        for kept in ["Ærø – Nordsø", "ملف", "می\u{200c}خواهم", "क्\u{200d}ष", "日本", "e\u{301}", "🗺"]
        {
            assert_eq!(printable(kept), kept);
        }
    }

    proptest! {
        #[test]
        fn a_harmless_document_says_the_same(text in any::<String>(), odd in "[\u{80}-\u{9f}\u{202a}-\u{202e}\u{e0001}\u{1b}\n]{0,9}") {
            let value = serde_json::json!({ text.clone() + &odd: [odd, text] });
            let json = harmless_json(serde_json::to_string_pretty(&value).unwrap());
            prop_assert!(json.chars().all(|letter| is_harmless(letter) || letter == '\n'));
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&json).unwrap(), value);
        }

        #[test]
        fn nothing_harmful_is_left(text in any::<String>()) {
            prop_assert!(one_line(&text).chars().all(is_harmless));
        }
    }
}
