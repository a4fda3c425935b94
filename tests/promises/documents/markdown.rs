//! As much of Markdown as the documents use: fenced and indented blocks, headings, links, code within lines.

/// A block of code.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Block<'a> {
    /// The word behind the fence; empty for none and for indented blocks.
    pub(crate) language: &'a str,
    /// Number of its first line, counted from 1.
    pub(crate) line: usize,
    /// Its lines without the indentation of the fence.
    pub(crate) lines: Vec<&'a str>,
}

/// The blocks between fences, and the lines outside of them with their numbers.
fn split(text: &str) -> (Vec<Block<'_>>, Vec<(usize, &str)>) {
    let (mut blocks, mut outside) = (Vec::new(), Vec::new());
    let mut open: Option<(Block<'_>, usize)> = None;
    for (number, line) in text.lines().enumerate().map(|(index, line)| (index + 1, line)) {
        let fence = line.trim_start().strip_prefix("```");
        match (&mut open, fence) {
            (None, Some(language)) => {
                let indentation = line.len() - line.trim_start().len();
                let language = language.trim();
                open = Some((Block { language, line: number + 1, lines: Vec::new() }, indentation));
            }
            (Some(_), Some(rest)) => {
                assert_eq!(rest.trim(), "", "line {number}: a fence within a fence");
                blocks.extend(open.take().map(|(block, _)| block));
            }
            (Some((block, indentation)), None) => {
                let blank = line.len() - line.trim_start().len();
                block.lines.push(&line[blank.min(*indentation)..]);
            }
            (None, None) => outside.push((number, line)),
        }
    }
    assert!(open.is_none(), "a fence is never closed");
    (blocks, outside)
}

/// The fenced blocks.
pub(crate) fn fenced(text: &str) -> Vec<Block<'_>> {
    split(text).0
}

/// Lines that a shell, or fstab, may be given: of fenced blocks in no other language, and those that are indented by four.
pub(super) fn shell_lines(text: &str) -> Vec<(usize, &str)> {
    let (blocks, outside) = split(text);
    let shells = blocks.into_iter().filter(|block| ["", "sh", "console"].contains(&block.language));
    let mut lines: Vec<_> = shells
        .flat_map(|block| {
            let first = block.line;
            block.lines.into_iter().enumerate().map(move |(index, line)| (first + index, line))
        })
        .collect();
    let indented = |(number, line)| Some((number, str::strip_prefix(line, "    ")?));
    lines.extend(outside.into_iter().filter_map(indented));
    lines
}

/// Code within lines: what stands between single backticks.
pub(super) fn code_spans(text: &str) -> Vec<(usize, &str)> {
    let outside = split(text).1;
    outside
        .into_iter()
        .flat_map(|(number, line)| line.split('`').skip(1).step_by(2).map(move |span| (number, span)))
        .collect()
}

/// Headings with their level.
pub(super) fn headings(text: &str) -> Vec<(usize, &str)> {
    let outside = split(text).1.into_iter();
    outside
        .filter_map(|(_, line)| {
            let level = line.bytes().take_while(|byte| *byte == b'#').count();
            (level > 0 && line[level..].starts_with(' ')).then(|| (level, line[level..].trim()))
        })
        .collect()
}

/// What a link to a heading is called, as GitHub makes it.
pub(super) fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
}

/// Targets of the links `[…](target)` and pictures, with their lines.
pub(super) fn links(text: &str) -> Vec<(usize, &str)> {
    let target = |rest: &'_ str| rest.split_once(')').map(|(target, _)| target.len());
    split(text)
        .1
        .into_iter()
        .flat_map(|(number, line)| {
            line.split("](").skip(1).filter_map(move |rest| Some((number, &rest[..target(rest)?])))
        })
        .collect()
}

#[test]
fn markdown_is_taken_apart() {
    let text = "# A b, c: `d`\nsee [x](y.md#z) and `code`\n\n```sh\nls\n```\n1. so:\n\n   ```console\n   $ a\n     b\n   ```\n    in\n";
    let blocks = fenced(text);
    assert_eq!(blocks[0], Block { language: "sh", line: 5, lines: vec!["ls"] });
    assert_eq!(blocks[1], Block { language: "console", line: 10, lines: vec!["$ a", "  b"] });
    assert_eq!(shell_lines(text), [(5, "ls"), (10, "$ a"), (11, "  b"), (13, "in")]);
    assert_eq!(code_spans(text), [(1, "d"), (2, "code")]);
    assert_eq!(links(text), [(2, "y.md#z")]);
    assert_eq!(headings(text).iter().map(|(_, text)| anchor(text)).collect::<Vec<_>>(), ["a-b-c-d"]);
}
