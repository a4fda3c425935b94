//! `docs/TROUBLESHOOTING.md` quotes what the program really says, and leaves out nothing that a user can see.
//!
//! A line of a `text` block of that page is a message as it stands in the sources, with `…` for what is filled in.

use std::collections::BTreeSet;

use super::literals::{ANYTHING, Message, messages};
use super::markdown::{fenced, headings};
use super::{document, root};

const PAGE: &str = "docs/TROUBLESHOOTING.md";

/// A quotation says at least so much besides what is filled in.
const LEAST: usize = 12;

/// Errors that the page need not quote, and why.
const UNQUOTED: &[(&str, &str)] = &[
    (
        "VfsError::*",
        "programs see its errno; the words are in user.clmsfs.error, or in the log at level debug",
    ),
    ("ConfigError::Syntax", "says where; what is wrong are the parser's own words"),
    ("ConfigError::Rule", "says where; what is wrong with rules is quoted"),
    ("ConfigError::Value", "says where; what is wrong with values is quoted"),
    ("ConfigError::Conflict", "passes on a message that is quoted"),
    ("ConfigError::MountOption", "says where; what is wrong with words of -o is quoted"),
    ("ReportError::Io", "passes on what the system says; the ways out are quoted"),
    ("MountpointError::Io", "passes on what the system says"),
    ("ControlError::Refused", "passes on what the mount says"),
    ("Refusal::Failed", "passes on a failure"),
    ("LedgerError::Open", "passes on what the system says; the ways out are quoted"),
    ("LedgerError::Disk", "passes on what the system says; the ways out are quoted"),
    ("LedgerError::Database", "passes on what SQLite says"),
    ("LedgerError::Encode", "a bug of ours"),
    ("StoreError::Io", "passes on what the system says; the ways out are quoted"),
    ("IngestError::Disk", "passes on what the system says; the ways out are quoted"),
    ("StoreError::Key", "a bug of ours: keys are made from ids, never from what users write"),
    ("BadRecord", "goes to the log only: the dataset is passed over"),
    ("RasterErrorKind::*", "stands within '…; evict the product and fetch it again'"),
    ("TiffError::*", "stands within '…; evict the product and fetch it again'"),
    ("ShardIndexError::*", "stands within '…; evict the product and fetch it again'"),
    ("VerifyError::Cancelled", "nobody can cancel it yet"),
    ("DaemonError::Signals", "no system is known where it happens"),
];

/// Quotations of the page with their lines.
fn quotations(page: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    for block in fenced(page) {
        if block.language == "sh" {
            continue;
        }
        assert_eq!(block.language, "text", "{PAGE}:{}: messages stand in blocks of text", block.line);
        for (index, line) in block.lines.into_iter().enumerate() {
            found.push((block.line + index, line.trim_end()));
        }
    }
    found
}

fn weight(text: &str) -> usize {
    text.chars().filter(|letter| *letter != ANYTHING).count()
}

#[test]
fn what_the_page_quotes_is_what_the_program_says() {
    let (page, messages) = (document(PAGE).text, messages());
    let quotations = quotations(&page);
    let mut unsaid = Vec::new();
    for (line, quotation) in &quotations {
        assert!(weight(quotation) >= LEAST, "{PAGE}:{line}: '{quotation}' says too little to be found");
        if !messages.iter().any(|message| message.text.contains(quotation)) {
            unsaid.push(format!("{PAGE}:{line}: nothing in src/ says '{quotation}'"));
        }
    }
    assert!(unsaid.is_empty(), "{}", unsaid.join("\n"));
    assert!(quotations.len() > 80, "only {} messages are quoted", quotations.len());
}

#[test]
fn every_error_is_quoted_or_there_is_a_reason_why_not() {
    let page = document(PAGE).text;
    let quotations = quotations(&page);
    let is_quoted =
        |message: &Message| quotations.iter().any(|(_, quotation)| message.text.contains(quotation));
    let mut excused = BTreeSet::new();
    let mut missing = Vec::new();
    for message in messages().iter().filter(|message| !message.of.is_empty()) {
        let excuse = UNQUOTED.iter().find(|(of, _)| is_about(of, &message.of));
        match (excuse, is_quoted(message)) {
            (Some((of, _)), false) => drop(excused.insert(*of)),
            (Some((of, _)), true) if !of.ends_with('*') => {
                panic!("{of} is quoted, and stands in the list of what is not")
            }
            (Some(_), true) => {}
            (None, true) => {}
            (None, false) => missing.push(format!("{} {}: '{}'", message.place, message.of, message.text)),
        }
    }
    assert!(missing.is_empty(), "{PAGE} does not quote\n{}", missing.join("\n"));
    let idle: Vec<_> = UNQUOTED.iter().map(|(of, _)| *of).filter(|of| !excused.contains(of)).collect();
    assert!(idle.is_empty(), "there are no such errors: {idle:?}");
}

/// `Enum::*` is about all its variants.
fn is_about(pattern: &str, of: &str) -> bool {
    pattern == of || pattern.strip_suffix('*').is_some_and(|beginning| of.starts_with(beginning))
}

/// The errnos that README and the page explain.
const ERRNOS: [(&str, i32); 10] = [
    ("EAGAIN", libc::EAGAIN),
    ("EACCES", libc::EACCES),
    ("ENOSPC", libc::ENOSPC),
    ("ENETDOWN", libc::ENETDOWN),
    ("ETIMEDOUT", libc::ETIMEDOUT),
    ("EINTR", libc::EINTR),
    ("EIO", libc::EIO),
    ("EROFS", libc::EROFS),
    ("ECANCELED", libc::ECANCELED),
    ("ENOTCONN", libc::ENOTCONN),
];

#[test]
fn errnos_are_called_what_programs_call_them() {
    let (page, front) = (document(PAGE).text, document("README.md").text);
    let headings: Vec<&str> = headings(&page).into_iter().map(|(_, text)| text).collect();
    for (name, number) in ERRNOS {
        let words = std::io::Error::from_raw_os_error(number).to_string();
        let words = words.split(" (os error").next().unwrap();
        let heading = format!("{words} (`{name}`)");
        assert!(headings.contains(&heading.as_str()), "{PAGE} has no heading '{heading}'");
        let row = format!("| `{name}` |");
        if let Some(row) = front.lines().find(|line| line.starts_with(&row)) {
            assert!(row.contains(&format!("| {words} |")), "README.md: {row}");
        }
    }
}

/// Whatever errno the file system answers is explained somewhere on the page.
#[test]
fn every_errno_of_the_file_system_is_explained() {
    let page = document(PAGE).text;
    let mut count = 0;
    for file in ["src/vfs/error.rs", "src/fuse/adapter.rs", "src/fuse/opening.rs"] {
        let source = std::fs::read_to_string(root().join(file)).unwrap();
        let named = ["libc::E", "Errno::E"].into_iter().flat_map(|before| source.split(before).skip(1));
        for rest in named {
            let length = rest.bytes().take_while(u8::is_ascii_uppercase).count();
            let name = format!("E{}", &rest[..length]);
            // what getxattr and flush say to the kernel
            if ["ERANGE", "ENOSYS"].contains(&name.as_str()) {
                continue;
            }
            assert!(
                page.contains(&format!("`{name}`")),
                "{PAGE} does not explain {name}, which {file} answers"
            );
            count += 1;
        }
    }
    assert!(count > 15, "only {count} errnos were found");
}
