//! Options: one table feeds the parser, the documents and the man page; values come from file < environment < flags.
//!
//! [`Settings::resolve`] puts them together, [`flags`] and [`mount_options`] read the command line, [`rules`] decide who
//! may fetch. A value is parsed once, here, into a type that cannot be wrong.
//!
//! ```
//! use clmsfs::config::{PartialSettings, Settings, Source};
//!
//! let mut flags = PartialSettings::default();
//! flags.set("cache_size", "4GB", Source::Flag("--cache-size".into()))?;
//! let resolved = Settings::resolve(&flags, |_name| None, None)?;
//! assert_eq!(resolved.settings.cache_size.bytes(), 4_000_000_000);
//! # Ok::<(), clmsfs::config::ConfigError>(())
//! ```

mod choices;
pub mod document;
mod error;
mod file;
pub mod flags;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod hosts;
mod listen;
pub mod mount_options;
mod options;
mod renewal;
pub mod rules;
mod service;
mod settings;
mod shipped_rules;
mod size;
mod span;
mod values;

pub use choices::{LogFilter, OnMiss, Profile, Threads};
pub use error::{ConfigError, ConfigErrors, Place};
pub use hosts::HostList;
pub use listen::ListenAddress;
pub use options::{Kind, OPTIONS, OptionSpec, PartialSettings, Source, find};
pub use renewal::{Change, Renewal};
pub use rules::{Action, Answer, Decision, Opener, Reason, Rule, decide};
pub use settings::{Resolved, Row, Settings, default_config_files};
pub use size::{ByteSize, SizeError};
pub use span::{Span, SpanError};
