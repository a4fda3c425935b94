//! Command lines in the documents are what the program takes: each `clmsfs …` line is parsed by the program's own parser,
//! each line of fstab by that of `mount.clmsfs`, and verbs and flags within the text exist.

use clap::Command;

use super::documents;
use super::markdown::{code_spans, shell_lines};

/// The words of the `clmsfs` command in a line of shell, without what is another command's, a comment or an
/// explanation behind two blanks; `None` where there is none.
fn command_of(line: &str) -> Option<Vec<String>> {
    let line = line.trim_start().strip_prefix("$ ").unwrap_or(line.trim_start());
    // what stands in front: conditions of loops, other commands
    let parts = line.split("; ").flat_map(|part| part.split(" && ")).flat_map(|part| part.split(" | "));
    let mut parts = parts.map(|part| {
        let part = part.trim();
        let before = ["until ", "if ", "while ", "! ", "do ", "sudo ", "target/release/"];
        before.iter().fold(part, |part, word| part.strip_prefix(word).unwrap_or(part))
    });
    let command = parts.find(|part| part.starts_with("clmsfs "))?;
    Some(words(command))
}

/// Words of a simple command; quotes are taken off, redirections and comments end it.
fn words(command: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    let mut blanks = 0;
    for letter in command.chars() {
        match (quote, letter) {
            (Some(open), letter) if letter == open => quote = None,
            (Some(_), letter) => word.get_or_insert_default().push(letter),
            (None, '\'' | '"') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (None, ' ') => {
                words.extend(word.take());
                blanks += 1;
                if blanks == 2 {
                    break;
                }
                continue;
            }
            (None, '#' | '&') if word.is_none() => break,
            (None, '>')
                if word.as_ref().is_none_or(|word| word.bytes().all(|byte| byte.is_ascii_digit())) =>
            {
                word = None;
                break;
            }
            (None, letter) => word.get_or_insert_default().push(letter),
        }
        blanks = 0;
    }
    words.extend(word);
    words
}

#[test]
fn every_command_line_parses() {
    let mut count = 0;
    for document in documents() {
        for (line, text) in shell_lines(&document.text) {
            // a line of fstab has its fields far apart
            if text.starts_with("clmsfs  ") || text.starts_with("clmsfs#") {
                continue;
            }
            let Some(words) = command_of(text) else { continue };
            let parsed = clmsfs::cli::command().try_get_matches_from(&words);
            if let Err(error) = parsed {
                panic!("{}:{line}: {text}\n{words:?}\n{error}", document.name);
            }
            count += 1;
        }
    }
    assert!(count > 12, "only {count} command lines were found");
}

#[test]
fn every_line_of_fstab_parses() {
    let mut count = 0;
    for document in documents() {
        for (line, text) in shell_lines(&document.text) {
            let fields: Vec<&str> = text.split_whitespace().collect();
            let [source, point, "clmsfs", options, ..] = fields[..] else { continue };
            if !source.starts_with("clmsfs") || !point.starts_with('/') {
                continue;
            }
            if let Err(error) = clmsfs::config::mount_options::parse(options) {
                panic!("{}:{line}: {text}\n{error}", document.name);
            }
            count += 1;
        }
    }
    assert!(count > 0, "no line of fstab was found");
}

/// The verb of that name, or of the first of several names (`ls|evict`).
fn verb<'a>(command: &'a Command, word: &str) -> Option<&'a Command> {
    let mut names = word.split('|');
    let first = command.find_subcommand(names.next()?)?;
    names.all(|name| command.find_subcommand(name).is_some()).then_some(first)
}

#[test]
fn verbs_and_flags_in_the_text_exist() {
    let command = clmsfs::cli::command();
    let mut count = 0;
    for document in documents() {
        // what has changed may have had other names
        if document.name == "CHANGELOG.md" {
            continue;
        }
        for (line, span) in code_spans(&document.text) {
            let Some(rest) = span.strip_prefix("clmsfs ") else { continue };
            let place = format!("{}:{line}: `{span}`", document.name);
            let mut at = &command;
            for word in rest.split_whitespace() {
                if let Some(below) = verb(at, word) {
                    at = below;
                } else if let Some(flag) = word.strip_prefix("--") {
                    let name = flag.split(['=', '|', ']']).next().unwrap();
                    let known = ["help", "version"].contains(&name)
                        || at.get_arguments().any(|known| known.get_long() == Some(name));
                    assert!(known, "{place}: {} has no flag --{name}", at.get_name());
                } else {
                    assert!(
                        at.get_name() != "clmsfs" || word.starts_with(['-', '…']),
                        "{place}: no verb '{word}'"
                    );
                }
            }
            count += 1;
        }
    }
    assert!(count > 10, "only {count} were found");
}

#[test]
fn commands_are_found_in_lines_of_shell() {
    let found = |line: &str| command_of(line).map(|words| words.join("|"));
    assert_eq!(found("clmsfs search \"corine 2018\"").unwrap(), "clmsfs|search|corine 2018");
    assert_eq!(found("$ clmsfs status --watch      # in another").unwrap(), "clmsfs|status|--watch");
    assert_eq!(found("make build && clmsfs mount ~/clms").unwrap(), "clmsfs|mount|~/clms");
    assert_eq!(
        found("$ until clmsfs cache evict a/b 2> /dev/null; do sleep 1; done").unwrap(),
        "clmsfs|cache|evict|a/b"
    );
    assert_eq!(found("$ clmsfs jobs | grep x").unwrap(), "clmsfs|jobs");
    assert_eq!(found("clmsfs fetch a/b        fetch with a bar").unwrap(), "clmsfs|fetch|a/b");
    assert_eq!(found("ls clmsfs x"), None);
}
