//! The texts in the sources: every string literal, and those of `#[error("…")]` with what they belong to.

use std::path::Path;

use super::{files, root};

/// Stands for what a message fills in.
pub(super) const ANYTHING: char = '…';

/// A text of the sources as users see it: `{…}` is [`ANYTHING`].
pub(super) struct Message {
    /// `Enum::Variant`, or the name of a struct, of an error's text; empty for other texts.
    pub(super) of: String,
    /// Where it stands.
    pub(super) place: String,
    pub(super) text: String,
}

/// Every text of the program, without those of its tests.
pub(super) fn messages() -> Vec<Message> {
    let mut all = Vec::new();
    for path in files(&root().join("src"), "rs") {
        let name = path.strip_prefix(root()).unwrap().display().to_string();
        let is_test = |part: &str| {
            matches!(part, "tests" | "tests.rs" | "fuzz.rs" | "fuzzing") || part.ends_with("_tests.rs")
        };
        if !name.split('/').any(is_test) {
            all.extend(of_source(&std::fs::read_to_string(&path).unwrap(), &name));
        }
    }
    assert!(all.len() > 1000, "only {} texts were found", all.len());
    all
}

fn of_source(source: &str, file: &str) -> Vec<Message> {
    let source = source.split("\nmod tests {").next().unwrap();
    let mut messages = Vec::new();
    let mut rest = source;
    while let Some((before, literal, after)) = next_literal(rest) {
        let at = source.len() - rest.len() + before.len();
        let line = 1 + source[..at].matches('\n').count();
        let is_error = before.trim_end().ends_with("#[error(");
        let of = if is_error { owner(&source[..at], after) } else { String::new() };
        messages.push(Message { of, place: format!("{file}:{line}"), text: filled(&literal) });
        rest = after;
    }
    messages
}

/// What an `#[error]` belongs to: the variant of the enum that is open, or the struct behind it. `after` begins behind the
/// text, within the attribute.
fn owner(before: &str, after: &str) -> String {
    let word = |text: &str| {
        text.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default().to_owned()
    };
    let (_, behind) = after.split_once(")]\n").unwrap_or_default();
    let mut lines = behind.lines().map(str::trim);
    let line = lines.find(|line| !line.is_empty() && !line.starts_with(['#', '/'])).unwrap_or_default();
    if let Some((_, name)) = line.split_once("struct ") {
        return word(name);
    }
    let visible =
        |line: &str| line.trim().trim_start_matches("pub").trim_start_matches("(super)").trim().to_owned();
    let declared = |line: &str| visible(line).strip_prefix("enum ").map(word);
    let of = before.lines().rev().find_map(declared).unwrap_or_default();
    format!("{of}::{}", word(line))
}

/// The next string literal: what stands before it, its value, and what follows.
fn next_literal(source: &str) -> Option<(&str, String, &str)> {
    let bytes = source.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &source[at..];
        if rest.starts_with("//") {
            at += rest.find('\n').unwrap_or(rest.len());
        } else if rest.starts_with("/*") {
            at += rest.find("*/").map_or(rest.len(), |end| end + 2);
        } else if let Some((value, length)) = raw(rest, at == 0 || !is_word(bytes[at - 1])) {
            return Some((&source[..at], value, &rest[length..]));
        } else if bytes[at] == b'"' {
            let (value, length) = plain(rest);
            return Some((&source[..at], value, &rest[length..]));
        } else if bytes[at] == b'\'' {
            at += letter(rest);
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    None
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Length of a character literal or of the quote of a lifetime.
fn letter(rest: &str) -> usize {
    let mut letters = rest.char_indices().skip(1);
    match (letters.next(), letters.next()) {
        (Some((_, '\\')), Some((after, _))) => {
            rest[after + 1..].find('\'').map_or(1, |end| after + 1 + end + 1)
        }
        (Some(_), Some((end, '\''))) => end + 1,
        _ => 1,
    }
}

/// A raw string literal at the beginning, with its length.
fn raw(rest: &str, fresh: bool) -> Option<(String, usize)> {
    let after = rest.strip_prefix('r').filter(|_| fresh)?;
    let hashes = after.bytes().take_while(|byte| *byte == b'#').count();
    let body = after[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let length = body.find(&end)?;
    Some((body[..length].to_owned(), 1 + hashes + 1 + length + end.len()))
}

/// The string literal at the beginning, with its length.
fn plain(rest: &str) -> (String, usize) {
    let mut value = String::new();
    let mut letters = rest.char_indices().skip(1).peekable();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return (value, at + 1),
            '\\' => match letters.next() {
                Some((_, '\n')) => while letters.next_if(|(_, letter)| letter.is_whitespace()).is_some() {},
                Some((_, 'n')) => value.push('\n'),
                Some((_, 't')) => value.push('\t'),
                Some((_, letter)) => value.push(letter),
                None => break,
            },
            letter => value.push(letter),
        }
    }
    (value, rest.len())
}

/// A format string with [`ANYTHING`] for what is filled in; several in a row are one.
fn filled(format: &str) -> String {
    let mut text = String::new();
    let mut letters = format.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '{' if letters.next_if_eq(&'{').is_some() => text.push('{'),
            '}' if letters.next_if_eq(&'}').is_some() => text.push('}'),
            '{' => {
                letters.by_ref().find(|letter| *letter == '}');
                if !text.ends_with(ANYTHING) {
                    text.push(ANYTHING);
                }
            }
            letter => text.push(letter),
        }
    }
    text
}

#[test]
fn texts_are_found_in_sources() {
    let source = r##"
        // "no text"
        const X: &str = r#"raw "one""#;
        #[derive(thiserror::Error)]
        pub enum Trouble {
            /// A doc.
            #[error("a {b} of {}{c}; \
                     more", x.display())]
            First(String),
            #[error(
                "{{}} 'x'", wait.map_or_else(String::new, |wait| format!("; {wait} s"))
            )]
            Second { reason: &'static str },
            #[error("last")]
            Third,
        }
        pub(super) enum Inner {
            #[error("inner")]
            Only,
        }
        #[error("alone {0}")]
        pub struct Alone(#[from] u8);
        fn f() -> char { if x == '"' { '\'' } else { 'a' } }
    "##;
    let found: Vec<String> = of_source(source, "f")
        .into_iter()
        .map(|message| format!("{}|{}", message.of, message.text))
        .collect();
    assert_eq!(
        found,
        [
            "|raw \"one\"",
            "Trouble::First|a … of …; more",
            "Trouble::Second|{} 'x'",
            "|; … s",
            "Trouble::Third|last",
            "Inner::Only|inner",
            "Alone|alone …"
        ]
    );
}

#[test]
fn every_error_of_the_sources_has_an_owner() {
    let errors: Vec<Message> = messages().into_iter().filter(|message| !message.of.is_empty()).collect();
    // as grep counts them
    let plainly: usize = files(&root().join("src"), "rs").iter().map(|path| count(path)).sum();
    assert_eq!(errors.len(), plainly);
    for error in &errors {
        let well_named = error.of.split("::").all(|part| part.starts_with(char::is_uppercase));
        assert!(well_named, "{}: '{}' is of '{}'", error.place, error.text, error.of);
    }
}

/// Messages stand behind "failed to …: ", and others stand behind them.
#[test]
fn errors_are_lower_case_fragments() {
    for error in messages().iter().filter(|message| !message.of.is_empty()) {
        let is_fragment =
            !error.text.starts_with(char::is_uppercase) && !error.text.ends_with(['.', '!', ' ']);
        assert!(is_fragment, "{}: '{}'", error.place, error.text);
    }
}

/// `#[error(` in a file that are not `transparent`.
fn count(path: &Path) -> usize {
    let source = std::fs::read_to_string(path).unwrap();
    source.matches("#[error(").count() - source.matches("#[error(transparent)]").count()
}
