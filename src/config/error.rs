//! What can be wrong with the settings.

use std::fmt;
use std::path::{Path, PathBuf};

use super::options::Source;

/// A place in a configuration file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file.
    pub path: PathBuf,
    /// Line, counted from 1.
    pub line: usize,
    /// Letter of the line, counted from 1.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.path.display(), self.line, self.column)
    }
}

/// Why the settings could not be put together. The messages fit after "failed to …: ".
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The configuration file cannot be read.
    #[error("cannot read the configuration file {path}: {source}; name the right one with --config")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The configuration file is no TOML.
    #[error("{place}: {message}")]
    Syntax {
        /// Where.
        place: Place,
        /// What the parser said.
        message: String,
    },
    /// The configuration file has a key that no option has.
    #[error("{place}: '{key}' is not an option{advice}")]
    UnknownKey {
        /// Where.
        place: Place,
        /// The key as written.
        key: String,
        /// "; did you mean …?" or where the options are listed.
        advice: String,
    },
    /// A `[[rule]]` of the configuration file is not usable.
    #[error("{place}: {message}")]
    Rule {
        /// Where.
        place: Place,
        /// What is wrong with it and what would be right.
        message: String,
    },
    /// The value of an option is not usable.
    #[error("{origin}: {}{message}", in_file(origin, option))]
    Value {
        /// Name of the option.
        option: &'static str,
        /// Where the value came from.
        origin: Source,
        /// What is wrong with it and what would be right.
        message: String,
    },
    /// Two options contradict each other.
    #[error("{0}")]
    Conflict(String),
    /// A word of `-o` is neither an option nor known from fstab.
    #[error("-o {word}: {message}")]
    MountOption {
        /// The word.
        word: String,
        /// What is wrong with it and what would be right.
        message: String,
    },
}

/// A flag or a variable says by itself which option it is; a line of a file does not.
fn in_file(origin: &Source, option: &str) -> String {
    match origin {
        Source::File { .. } | Source::Default => format!("{option}: "),
        Source::Environment(_) | Source::Flag(_) => String::new(),
    }
}

impl ConfigError {
    /// The file it is about, with line and column as far as they are known.
    pub fn place(&self) -> Option<(&Path, Option<usize>, Option<usize>)> {
        match self {
            Self::Unreadable { path, .. } => Some((path, None, None)),
            Self::Syntax { place, .. } | Self::UnknownKey { place, .. } | Self::Rule { place, .. } => {
                Some((&place.path, Some(place.line), Some(place.column)))
            }
            Self::Value { origin: Source::File { path, line }, .. } => Some((path, Some(*line), None)),
            Self::Value { .. } | Self::Conflict(_) | Self::MountOption { .. } => None,
        }
    }

    /// The option it is about, when it is about one.
    pub fn option(&self) -> Option<&str> {
        match self {
            Self::Value { option, .. } => Some(option),
            Self::UnknownKey { key, .. } => Some(key),
            _ => None,
        }
    }
}

/// All that is wrong with the settings: at least one thing.
///
/// Its text is one line, whatever it holds: the first error, and how many there are besides.
#[derive(Debug)]
pub struct ConfigErrors(Vec<ConfigError>);

impl ConfigErrors {
    /// Nothing of an empty list.
    pub(super) fn some(errors: Vec<ConfigError>) -> Result<(), Self> {
        if errors.is_empty() { Ok(()) } else { Err(Self(errors)) }
    }

    /// Each error; those of a file in the order of its lines.
    pub fn all(&self) -> &[ConfigError] {
        &self.0
    }

    /// The first one.
    pub fn into_first(mut self) -> ConfigError {
        self.0.swap_remove(0)
    }
}

impl From<ConfigError> for ConfigErrors {
    fn from(error: ConfigError) -> Self {
        Self(vec![error])
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0[0])?;
        match self.0.len() - 1 {
            0 => Ok(()),
            1 => write!(f, " (and one more: clmsfs config check names both)"),
            more => write!(f, " (and {more} more: clmsfs config check names all)"),
        }
    }
}

impl std::error::Error for ConfigErrors {}
