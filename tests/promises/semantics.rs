//! `docs/SEMANTICS.md` says what the file system does; its examples are run here, in their order, on one mount.
//!
//! Each block of `console` is a script for one shell: lines that begin with `$ ` are commands, what stands below each is
//! what it must print. `…` stands for any text, a line of `…` for any lines, and several blanks count as one.

use std::path::Path;

use crate::documents::markdown::{Block, fenced};
use crate::support::packages::Pixels;
use crate::support::process::{CLMSFS, Reader, within};
use crate::support::{Package, Stage};

const PAGE: &str = include_str!("../../docs/SEMANTICS.md");

/// What the page says of its products.
const SCENARIO: &str = "
queued = '20ms'
running = '20ms'
raster_size = 64

[[fault]]
file = 'river'
outcome = 'stuck_queued'

[[fault]]
file = 'broken'
outcome = 'finished_nok'
";

const PRODUCTS: [&str; 5] = ["broken", "hill", "lake", "pond", "river"];

/// Printed behind the output of each command.
const MARK: &str = "---- the end of a command ----";

/// Before the commands: `clmsfs` means this mount, whatever others run on the machine; a mark keeps the exit code.
const PRELUDE: &str = r#"
exec 2>&1
clmsfs() { "$CLMSFS_PROGRAM" "$@" --mount "$CLMS"; }
mark() { local status=$?; printf '\n%s\n' "$MARK"; return $status; }
cd "$CLMS"
"#;

/// A command with the lines that it must print.
#[derive(Debug, PartialEq, Eq)]
struct Example<'a> {
    command: &'a str,
    wanted: Vec<&'a str>,
}

/// Takes a block apart.
fn examples<'a>(block: &Block<'a>) -> Vec<Example<'a>> {
    let mut examples: Vec<Example<'_>> = Vec::new();
    for line in &block.lines {
        match (line.strip_prefix("$ "), examples.last_mut()) {
            (Some(command), _) => examples.push(Example { command, wanted: Vec::new() }),
            (None, Some(example)) => example.wanted.push(line),
            (None, None) => panic!("line {}: a block of console begins with '$ '", block.line),
        }
    }
    examples
}

/// The blocks that are run. Nothing else may look like an example.
fn blocks() -> Vec<(usize, Vec<Example<'static>>)> {
    let mut found = Vec::new();
    for block in fenced(PAGE) {
        match block.language {
            "console" => found.push((block.line, examples(&block))),
            "text" => {
                let is_command = |line: &&str| line.trim_start().starts_with("$ ");
                assert!(
                    !block.lines.iter().any(is_command),
                    "line {}: commands stand in console",
                    block.line
                );
            }
            other => panic!(
                "line {}: '{other}' is not run: write console, or text for what is no example",
                block.line
            ),
        }
    }
    found
}

/// Whether a line is what is wanted.
fn line_fits(wanted: &str, found: &str) -> bool {
    let squeezed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (wanted, found) = (squeezed(wanted), squeezed(found));
    let Some((first, others)) = wanted.split_once('…') else { return wanted == found };
    let Some(mut rest) = found.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = others.split('…').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        let Some((_, behind)) = rest.split_once(part) else { return false };
        rest = behind;
    }
    rest.ends_with(last)
}

/// Whether lines are what is wanted.
fn fits(wanted: &[&str], found: &[&str]) -> bool {
    match (wanted, found) {
        ([], []) => true,
        (["…", rest @ ..], _) => fits(rest, found) || (!found.is_empty() && fits(wanted, &found[1..])),
        ([first, wanted @ ..], [line, found @ ..]) => line_fits(first, line) && fits(wanted, found),
        _ => false,
    }
}

/// Runs a block in one shell; what each command printed.
fn run(home: &Path, point: &Path, examples: &[Example<'_>]) -> Vec<String> {
    let commands: Vec<String> =
        examples.iter().map(|example| format!("{}\nmark\n", example.command)).collect();
    let mut shell = within(home, "bash".as_ref());
    shell.args(["--noprofile", "--norc", "-c"]).arg(PRELUDE.to_owned() + &commands.concat());
    shell
        .env("CLMS", point)
        .env("CLMSFS_PROGRAM", CLMSFS)
        .env("MARK", MARK)
        .env("LC_ALL", "C")
        .env("TZ", "UTC");
    let printed = Reader::spawn(shell).finish().text();
    printed.split(&format!("\n{MARK}\n")).map(str::to_owned).collect()
}

#[test]
fn every_example_of_the_page_is_so() {
    let blocks = blocks();
    let Some(stage) = Stage::shared() else { return };
    for name in PRODUCTS {
        Package::new(name, Pixels::Noise, 600).write(&stage.data());
    }
    let simulator = stage.simulator(SCENARIO);
    let mount = stage.mount(&simulator).start();
    mount.product("river");
    let mut wrong = Vec::new();
    for (line, examples) in &blocks {
        let printed = run(stage.folder(), mount.point(), examples);
        for (index, example) in examples.iter().enumerate() {
            let found = printed.get(index).map_or("", String::as_str);
            let lines: Vec<&str> = found.trim_matches('\n').lines().collect();
            let wanted = trimmed(&example.wanted);
            if !fits(wanted, &lines) {
                let wanted = wanted.join("\n");
                wrong.push(format!(
                    "line {line}: $ {}\n{found}\n---- instead of ----\n{wanted}",
                    example.command
                ));
            }
        }
        assert_eq!(printed.len(), examples.len() + 1, "line {line}: not every command ended: {printed:?}");
    }
    assert!(wrong.is_empty(), "docs/SEMANTICS.md\n{}", wrong.join("\n\n"));
    let count: usize = blocks.iter().map(|(_, examples)| examples.len()).sum();
    assert!(count > 40, "only {count} examples were found");
}

/// Without empty lines at both ends.
fn trimmed<'a, 'b>(lines: &'a [&'b str]) -> &'a [&'b str] {
    let is_text = |line: &&str| !line.is_empty();
    let start = lines.iter().position(is_text).unwrap_or(lines.len());
    let end = lines.iter().rposition(is_text).map_or(start, |last| last + 1);
    &lines[start..end]
}

#[test]
fn a_wrong_line_does_not_pass() {
    assert!(fits(&["a", "…", "b  c"], &["a", "x", "", "b c"]) && fits(&["…"], &[]));
    assert!(!fits(&["a"], &["a", "b"]) && !fits(&["a", "b"], &["a"]) && !fits(&["a", "…", "b"], &["a"]));
    assert!(line_fits("…/data/…: 5 bytes", "/tmp/data/x: 5 bytes") && line_fits("so far …", "so far 1"));
    assert!(!line_fits("a … b", "a 1 c") && !line_fits("a", "ab") && !line_fits("5 …", "15 x"));
}

#[test]
fn an_example_that_is_not_run_cannot_be_added() {
    let examples = |text: &'static str| examples(&fenced(text)[0]);
    assert_eq!(examples("```console\n$ a\n```").len(), 1);
    let caught = std::panic::catch_unwind(|| examples("```console\na\n```").len());
    assert!(caught.is_err());
    assert_eq!(blocks().len(), PAGE.matches("```console").count());
}
