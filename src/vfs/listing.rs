//! A directory as a reader goes through it: taken once, when it is opened, and read from any place on.

use super::tree::Child;

/// The lines of an open directory. A change after opening changes nothing in it, so that whoever goes on where he left
/// off sees each name once.
#[derive(Debug)]
pub struct Listing {
    children: Vec<Child>,
}

/// A line of a directory.
#[derive(Debug, Clone, Copy)]
pub enum Line<'a> {
    /// `.` or `..`.
    Dots(&'static str),
    /// A name.
    Child(&'a Child),
}

impl Listing {
    /// The listing of these children.
    pub fn new(children: Vec<Child>) -> Self {
        Self { children }
    }

    /// The lines from `offset` on, `.` and `..` first, each with the offset behind it.
    pub fn from(&self, offset: u64) -> impl Iterator<Item = (u64, Line<'_>)> {
        let dots = [Line::Dots("."), Line::Dots("..")];
        let lines = dots.into_iter().chain(self.children.iter().map(Line::Child));
        let skipped = usize::try_from(offset).unwrap_or(usize::MAX);
        lines.enumerate().skip(skipped).map(|(number, line)| (number as u64 + 1, line))
    }
}
