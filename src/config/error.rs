//! What can be wrong with the settings.

use std::path::PathBuf;

use super::options::Source;

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
    #[error("{path}, line {line}: {message}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Line, counted from 1.
        line: usize,
        /// What the parser said.
        message: String,
    },
    /// The configuration file has a key that no option has.
    #[error("{path}, line {line}: '{key}' is not an option{advice}")]
    UnknownKey {
        /// The file.
        path: PathBuf,
        /// Line, counted from 1.
        line: usize,
        /// The key as written.
        key: String,
        /// "; did you mean …?" or where the options are listed.
        advice: String,
    },
    /// A `[[rule]]` of the configuration file is not usable.
    #[error("{path}, line {line}: {message}")]
    Rule {
        /// The file.
        path: PathBuf,
        /// Line, counted from 1.
        line: usize,
        /// What is wrong with it and what would be right.
        message: String,
    },
    /// The value of an option is not usable.
    #[error("{option} ({origin}): {message}")]
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
