//! JSON as servers in Python really write it: with `NaN`, and with letters that are no UTF-8.

use serde_json::Value;

/// Numbers that JSON does not have.
const NO_NUMBERS: [&str; 3] = ["-Infinity", "Infinity", "NaN"];

/// The value of a text. Where it is no JSON as it stands, letters that are no UTF-8 become `\u{fffd}`, and numbers that
/// are none become null.
///
/// # Errors
/// What is wrong with the text as it stands.
pub(super) fn parse(text: &[u8]) -> Result<Value, serde_json::Error> {
    serde_json::from_slice(text).or_else(|error| {
        let mended = without_false_numbers(&String::from_utf8_lossy(text));
        serde_json::from_str(&mended).map_err(|_| error)
    })
}

fn without_false_numbers(text: &str) -> String {
    let mut mended = String::with_capacity(text.len());
    let mut in_string = false;
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        if let Some(word) = NO_NUMBERS.iter().find(|word| !in_string && rest.starts_with(*word)) {
            mended.push_str("null");
            rest = &rest[word.len()..];
            continue;
        }
        let length = match letter {
            '\\' if in_string => 1 + rest.chars().nth(1).map_or(0, char::len_utf8),
            letter => letter.len_utf8(),
        };
        in_string ^= letter == '"';
        mended.push_str(&rest[..length]);
        rest = &rest[length..];
    }
    mended
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn what_python_writes_is_understood() {
        let text = br#"{"size": NaN, "west": -Infinity, "title": "NaN \" Infinity", "list": [Infinity, 1]}"#;
        let value = json!({"size": null, "west": null, "title": "NaN \" Infinity", "list": [null, 1]});
        assert_eq!(parse(text).unwrap(), value);
        assert_eq!(parse(b"{\"title\": \"For\xeat\"}").unwrap(), json!({"title": "For\u{fffd}t"}));
        assert!(parse(b"{\"a\": ").unwrap_err().is_eof());
        assert!(parse(b"nonsense").is_err());
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".{0,60}") {
            let _ = parse(text.as_bytes());
        }
    }
}
