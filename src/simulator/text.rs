//! JSON as the recorded server writes it: keys sorted, two spaces, `", "` at line ends, ASCII only.

use serde_json::Value;

/// A service's answer: `json.dumps(indent=2, sort_keys=True, separators=(", ", ": "))`.
pub(crate) fn service(value: &Value) -> String {
    let mut text = String::new();
    write(&mut text, value, Some(0), ", ");
    text
}

/// An answer of the error view, which leaves no blank at line ends.
pub(crate) fn error_view(message: &str, kind: &str) -> String {
    let mut text = String::new();
    write(&mut text, &serde_json::json!({ "message": message, "type": kind }), Some(0), ",");
    text
}

/// One line, as the token endpoint writes it: `json.dumps` without indentation.
pub(crate) fn one_line(value: &Value) -> String {
    let mut text = String::new();
    write(&mut text, value, None, ", ");
    text
}

fn write(text: &mut String, value: &Value, level: Option<usize>, separator: &str) {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => text.push_str(&value.to_string()),
        Value::String(string) => quote(text, string),
        Value::Array(items) if items.is_empty() => text.push_str("[]"),
        Value::Object(map) if map.is_empty() => text.push_str("{}"),
        Value::Array(items) => {
            let inner = level.map(|level| level + 1);
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    text.push_str(separator);
                }
                new_line(text, inner);
                write(text, item, inner, separator);
            }
            new_line(text, level);
            text.push(']');
        }
        Value::Object(map) => {
            let inner = level.map(|level| level + 1);
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by(|left, right| left.0.cmp(right.0));
            text.push('{');
            for (index, (key, item)) in entries.into_iter().enumerate() {
                if index > 0 {
                    text.push_str(separator);
                }
                new_line(text, inner);
                quote(text, key);
                text.push_str(": ");
                write(text, item, inner, separator);
            }
            new_line(text, level);
            text.push('}');
        }
    }
}

fn new_line(text: &mut String, level: Option<usize>) {
    if let Some(level) = level {
        text.push('\n');
        text.extend(std::iter::repeat_n("  ", level));
    }
}

fn quote(text: &mut String, string: &str) {
    text.push('"');
    for character in string.chars() {
        match character {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            ' '..='~' => text.push(character),
            _ => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    text.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
    }
    text.push('"');
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn service_answers_have_sorted_keys_and_blanks_at_line_ends() {
        let text = service(&json!({ "b": [1, "é\\u2018"], "a": {}, "c": [] }));
        assert_eq!(
            text,
            "{\n  \"a\": {}, \n  \"b\": [\n    1, \n    \"\\u00e9\\\\u2018\"\n  ], \n  \"c\": []\n}"
        );
    }

    #[test]
    fn errors_and_tokens_differ_in_blanks_only() {
        assert_eq!(error_view("m", "T"), "{\n  \"message\": \"m\",\n  \"type\": \"T\"\n}");
        assert_eq!(one_line(&json!({ "error": "x", "a": 1 })), "{\"a\": 1, \"error\": \"x\"}");
    }

    #[test]
    fn every_answer_is_json_again() {
        let value = json!({ "x": "\u{1f600}\u{7f}\u{1}", "y": [null, true, 1.5] });
        for text in [service(&value), one_line(&value)] {
            assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
        }
    }
}
