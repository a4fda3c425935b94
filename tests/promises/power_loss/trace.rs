//! What strace(1) recorded, as operations on a disk.

use std::collections::HashMap;

/// A recorded call that matters to a disk. Paths are absolute.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Call {
    /// Opened for the descriptor; made or emptied, if that was asked for.
    Open {
        descriptor: i64,
        path: String,
        create: bool,
        truncate: bool,
        append: bool,
    },
    MakeFolder {
        path: String,
    },
    /// Written at an offset, or where the descriptor stands.
    Write {
        descriptor: i64,
        path: String,
        offset: Option<u64>,
        bytes: Vec<u8>,
    },
    /// Read where the descriptor stands.
    Read {
        descriptor: i64,
        path: String,
        length: u64,
    },
    Seek {
        descriptor: i64,
        path: String,
        offset: u64,
    },
    Resize {
        path: String,
        length: u64,
    },
    /// Given back to the disk.
    Punch {
        path: String,
        offset: u64,
        length: u64,
    },
    /// A gap that moves what lies behind it.
    Insert {
        path: String,
        offset: u64,
        length: u64,
    },
    /// Copied from where one descriptor stands to where another stands.
    Copy {
        from: (i64, String),
        to: (i64, String),
        length: u64,
    },
    Rename {
        from: String,
        to: String,
        exchange: bool,
    },
    Remove {
        path: String,
    },
    /// `begun` calls were recorded before it was made.
    Sync {
        path: String,
        begun: usize,
    },
    /// Something left through a socket.
    Send {
        bytes: Vec<u8>,
    },
}

/// An argument of a call.
#[derive(Debug, Clone)]
enum Argument {
    Bytes(Vec<Vec<u8>>),
    Descriptor(i64, String),
    Word(String),
}

/// Reads what `strace -f -y -xx` wrote.
#[track_caller]
pub(super) fn read(text: &str) -> Vec<Call> {
    let mut calls = Vec::new();
    let mut unfinished: HashMap<&str, (String, usize)> = HashMap::new();
    for line in text.lines() {
        let Some((process, rest)) = line.split_once(' ') else { continue };
        let rest = rest.trim_start();
        if let Some(head) = rest.strip_suffix(" <unfinished ...>") {
            unfinished.insert(process, (head.to_owned(), calls.len()));
            continue;
        }
        let (whole, begun) = match rest.strip_prefix("<... ").and_then(|rest| rest.split_once(" resumed>")) {
            Some((_, tail)) => {
                let (head, begun) = unfinished.remove(process).expect("a call is begun before it is over");
                (head + tail, begun)
            }
            None => (rest.to_owned(), calls.len()),
        };
        calls.extend(call(&whole, begun));
    }
    calls
}

fn call(line: &str, begun: usize) -> Option<Call> {
    let (name, rest) = line.split_once('(')?;
    let end = rest.rfind(')').filter(|end| rest[*end..].contains(" = "));
    // The answer may hold brackets of its own: `= -1 ENOENT (No such file or directory)`, `= 5<path>`.
    let at = rest.find(") = ").map_or(rest.rfind(")   "), Some).or(end)?;
    let answer = rest[at..].split_once("= ")?.1;
    let status = leading_number(answer)?;
    if status < 0 {
        return None;
    }
    let arguments = arguments(&rest[..at]);
    let descriptor = |index: usize| match arguments.get(index) {
        Some(Argument::Descriptor(number, path)) => Some((*number, path.clone())),
        _ => None,
    };
    let text = |index: usize| match arguments.get(index) {
        Some(Argument::Bytes(parts)) => Some(String::from_utf8_lossy(&parts.concat()).into_owned()),
        _ => None,
    };
    let bytes = |index: usize| match arguments.get(index) {
        Some(Argument::Bytes(parts)) => {
            let mut bytes = parts.concat();
            bytes.truncate(status as usize);
            Some(bytes)
        }
        _ => None,
    };
    let word = |index: usize| match arguments.get(index) {
        Some(Argument::Word(word)) => Some(word.as_str()),
        _ => None,
    };
    let number = |index: usize| word(index).and_then(|word| word.parse::<u64>().ok());
    // A path relative to a descriptor.
    let place = |index: usize| {
        let (_, folder) = descriptor(index)?;
        let path = text(index + 1)?;
        Some(if path.starts_with('/') { path } else { format!("{folder}/{path}") })
    };
    let open = |path: String, flags: &str| {
        let has = |flag: &str| flags.split('|').any(|word| word == flag);
        let (create, truncate, append) = (has("O_CREAT"), has("O_TRUNC"), has("O_APPEND"));
        Call::Open { descriptor: status, path, create, truncate, append }
    };
    let write = |offset: Option<u64>| {
        let (descriptor, path) = descriptor(0)?;
        let bytes = bytes(1)?;
        if path.starts_with('/') {
            return Some(Call::Write { descriptor, path, offset, bytes });
        }
        Some(Call::Send { bytes })
    };
    match name {
        "open" => Some(open(text(0)?, word(1)?)),
        "openat" => Some(open(place(0)?, word(2)?)),
        "creat" => Some(open(text(0)?, "O_CREAT|O_TRUNC")),
        "mkdir" => Some(Call::MakeFolder { path: text(0)? }),
        "mkdirat" => Some(Call::MakeFolder { path: place(0)? }),
        "write" | "writev" | "sendto" => write(None),
        "pwrite64" | "pwritev" | "pwritev2" => write(Some(number(3)?)),
        "read" | "readv" => {
            let (descriptor, path) = descriptor(0)?;
            Some(Call::Read { descriptor, path, length: status as u64 })
        }
        "lseek" => {
            let (descriptor, path) = descriptor(0)?;
            Some(Call::Seek { descriptor, path, offset: status as u64 })
        }
        "ftruncate" => Some(Call::Resize { path: descriptor(0)?.1, length: number(1)? }),
        "truncate" => Some(Call::Resize { path: text(0)?, length: number(1)? }),
        "fallocate" if word(1)?.contains("PUNCH_HOLE") => {
            Some(Call::Punch { path: descriptor(0)?.1, offset: number(2)?, length: number(3)? })
        }
        "fallocate" if word(1)?.contains("INSERT_RANGE") => {
            Some(Call::Insert { path: descriptor(0)?.1, offset: number(2)?, length: number(3)? })
        }
        "fallocate" => panic!("not understood: {line}"),
        "copy_file_range" => {
            assert!(word(1) == Some("NULL") && word(3) == Some("NULL"), "not understood: {line}");
            Some(Call::Copy { from: descriptor(0)?, to: descriptor(2)?, length: status as u64 })
        }
        "sendfile" => {
            assert!(word(2) == Some("NULL"), "not understood: {line}");
            Some(Call::Copy { from: descriptor(1)?, to: descriptor(0)?, length: status as u64 })
        }
        "rename" => Some(Call::Rename { from: text(0)?, to: text(1)?, exchange: false }),
        "renameat" | "renameat2" => {
            let exchange = word(4).is_some_and(|flags| flags.contains("EXCHANGE"));
            Some(Call::Rename { from: place(0)?, to: place(2)?, exchange })
        }
        "unlink" | "rmdir" => Some(Call::Remove { path: text(0)? }),
        "unlinkat" => Some(Call::Remove { path: place(0)? }),
        "fsync" | "fdatasync" => Some(Call::Sync { path: descriptor(0)?.1, begun }),
        "link" | "linkat" | "symlink" | "symlinkat" | "splice" => panic!("not understood: {line}"),
        _ => None,
    }
}

fn leading_number(text: &str) -> Option<i64> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '-').unwrap_or(text.len());
    text[..end].parse().ok()
}

/// Splits at commas outside of brackets. All text in a trace is written as `\xNN`, so no bracket or comma is part of it.
fn arguments(text: &str) -> Vec<Argument> {
    let (mut found, mut depth, mut start) = (Vec::new(), 0i32, 0);
    for (at, c) in text.char_indices() {
        match c {
            '[' | '{' | '(' => depth += 1,
            ']' | '}' | ')' => depth -= 1,
            ',' if depth == 0 => {
                found.push(argument(text[start..at].trim()));
                start = at + 1;
            }
            _ => {}
        }
    }
    found.push(argument(text[start..].trim()));
    found
}

fn argument(text: &str) -> Argument {
    if text.contains('"') {
        // One string, or those of an iovec.
        let strings = text.split('"').skip(1).step_by(2).map(decoded).collect();
        return Argument::Bytes(strings);
    }
    match text.split_once('<') {
        Some((number, path)) if number == "AT_FDCWD" || number.parse::<i64>().is_ok() => {
            // `(deleted)` may stand behind: such a file is on no disk.
            let (path, behind) = path.split_once('>').unwrap_or((path, ""));
            let path = String::from_utf8_lossy(&decoded(path)).into_owned();
            let path = if behind.is_empty() { path } else { String::new() };
            Argument::Descriptor(number.parse().unwrap_or(-1), path)
        }
        _ => Argument::Word(text.to_owned()),
    }
}

fn decoded(text: &str) -> Vec<u8> {
    if !text.contains('\\') {
        return text.as_bytes().to_vec();
    }
    let digit = |byte: u8| (byte as char).to_digit(16).expect("a trace in hex") as u8;
    text.as_bytes().chunks_exact(4).map(|four| digit(four[2]) << 4 | digit(four[3])).collect()
}

#[test]
fn a_trace_is_understood() {
    let trace = r#"7 openat(AT_FDCWD<\x2f\x77>, "\x2f\x61", O_RDWR|O_CREAT|O_CLOEXEC, 0644) = 5<\x2f\x61>
7 write(5<\x2f\x61>, "\x68\x69", 2 <unfinished ...>
8 unlink("\x2f\x62")    = 0
7 <... write resumed>)    = 2
7 fsync(5<\x2f\x61> <unfinished ...>
8 pwrite64(5<\x2f\x61>, "\x6a", 1, 9) = 1
7 <... fsync resumed>)                = 0
7 mkdir("\x2f\x61", 0777) = -1 EEXIST (File exists)
7 writev(6<\x73\x6f\x63\x6b\x65\x74\x3a\x5b\x31\x5d>, [{iov_base="\x50", iov_len=1}, {iov_base="\x51", iov_len=1}], 2) = 2
"#;
    let path = || "/a".to_owned();
    let expected = [
        Call::Open { descriptor: 5, path: path(), create: true, truncate: false, append: false },
        Call::Remove { path: "/b".to_owned() },
        Call::Write { descriptor: 5, path: path(), offset: None, bytes: b"hi".to_vec() },
        Call::Write { descriptor: 5, path: path(), offset: Some(9), bytes: b"j".to_vec() },
        // It was begun before the write at 9, which it need not cover.
        Call::Sync { path: path(), begun: 3 },
        Call::Send { bytes: b"PQ".to_vec() },
    ];
    assert_eq!(read(trace), expected);
}
