//! One manual page: text for roff that any device can show.

use clap_mangen::roff::{Inline, Roff, bold, italic, roman};

/// A finished page.
pub(super) struct Page {
    file_name: String,
    text: String,
}

impl Page {
    /// A page of this name and section, with the text of these parts one after another below its title.
    pub(super) fn new(name: &str, section: &str, parts: &[String]) -> Self {
        // by hand, because the library leaves empty arguments out: there is no date, so that every build makes the same page
        let release = env!("CARGO_PKG_VERSION");
        let title = format!(
            ".TH \"{}\" \"{section}\" \"\" \"clmsfs {release}\" \"clmsfs manual\"\n",
            name.to_uppercase()
        );
        Self { file_name: format!("{name}.{section}"), text: portable(&(title + &parts.concat())) }
    }

    /// What its file is called.
    pub(super) fn file_name(&self) -> &str {
        &self.file_name
    }

    /// Its text for man(1).
    pub(super) fn text(&self) -> &str {
        &self.text
    }
}

/// Sections of a page that are written here and not by a library.
pub(super) struct Writer(Roff);

impl Writer {
    /// Begins with nothing.
    pub(super) fn new() -> Self {
        Self(Roff::new())
    }

    /// A heading.
    pub(super) fn section(&mut self, heading: &str) -> &mut Self {
        self.0.control("SH", [heading]);
        self
    }

    /// A lower heading.
    pub(super) fn subsection(&mut self, heading: &str) -> &mut Self {
        self.0.control("SS", [heading]);
        self
    }

    /// A paragraph of [marked](marked) text.
    pub(super) fn paragraph(&mut self, text: &str) -> &mut Self {
        self.0.control("PP", []);
        self.0.text(marked(text));
        self
    }

    /// The first words of a section.
    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        self.0.text(marked(text));
        self
    }

    /// A term of [marked](marked) text, and what is to be said of it.
    pub(super) fn term(&mut self, term: &str, text: &str) -> &mut Self {
        self.0.control("TP", []);
        self.0.text(marked(term));
        self.0.text(marked(text));
        self
    }

    /// Lines as they are.
    pub(super) fn example(&mut self, lines: &str) -> &mut Self {
        self.0.control("PP", []);
        self.0.control("RS", ["2"]);
        self.0.control("EX", []);
        for line in lines.lines() {
            self.0.text([roman(line)]);
        }
        self.0.control("EE", []);
        self.0.control("RE", []);
        self
    }

    /// Other pages.
    pub(super) fn see_also(&mut self, pages: &[&str]) -> &mut Self {
        self.section("SEE ALSO");
        let mut words = Vec::new();
        for (index, page) in pages.iter().enumerate() {
            let (name, rest) = page.split_once('(').unwrap_or((page, ""));
            let comma = if index + 1 < pages.len() { ", " } else { "" };
            words.push(bold(name));
            words.push(roman(format!("({rest}{comma}")));
        }
        self.0.text(words);
        self
    }

    /// What was written.
    pub(super) fn finish(&self) -> String {
        self.0.render()
    }
}

/// Text in which `` `words` `` are bold and `<words>` stand for something else.
fn marked(text: &str) -> Vec<Inline> {
    let mut words = Vec::new();
    for (index, part) in text.split('`').enumerate() {
        if index % 2 == 1 {
            words.push(bold(part));
            continue;
        }
        let mut rest = part;
        while let Some((before, after)) = rest.split_once('<') {
            let Some((name, behind)) = after.split_once('>') else { break };
            words.extend([roman(before), italic(name)]);
            rest = behind;
        }
        words.push(roman(rest));
    }
    words
}

/// Letters beyond ASCII as roff names them: not every device and locale takes them as they are.
fn portable(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            _ if letter.is_ascii() => written.push(letter),
            '…' => written.push_str("..."),
            '–' => written.push_str("\\(en"),
            '—' => written.push_str("\\(em"),
            '’' => written.push_str("\\(cq"),
            '→' => written.push_str("\\(->"),
            '≤' => written.push_str("\\(<="),
            '×' => written.push_str("\\(mu"),
            other => written.push_str(&format!("\\[u{:04X}]", u32::from(other))),
        }
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_become_fonts_and_signs_become_names() {
        let mut writer = Writer::new();
        writer.text("`mount` takes <SIZE>, or -1 \\ 2");
        let text = portable(&writer.finish());
        assert!(text.contains("\\fBmount\\fR takes \\fISIZE\\fR, or \\-1 \\\\ 2"), "{text}");
        assert_eq!(portable("a…b → ü"), "a...b \\(-> \\[u00FC]");
    }

    #[test]
    fn a_line_of_an_example_is_no_command() {
        let mut writer = Writer::new();
        writer.example(".SH nothing\n'quoted'\n[[rule]]");
        let text = writer.finish();
        let commands: Vec<&str> = text.lines().filter(|line| line.starts_with('.')).collect();
        assert!(commands.iter().all(|line| !line.starts_with(".SH")), "{text}");
        assert!(text.lines().all(|line| !line.starts_with("'quoted")), "{text}");
    }
}
