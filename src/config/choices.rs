//! Settings that are a choice among words.

use std::fmt;
use std::num::NonZeroUsize;
use std::str::FromStr;

/// What open() does with a cold file when no rule says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OnMiss {
    /// Wait until the file is there.
    Block,
    /// Start the fetch and fail at once with EAGAIN.
    Eagain,
}

/// Which shipped rules are in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Profile {
    /// Batch jobs and notebooks: everybody who may read also waits.
    Server,
    /// A person at a screen: graphical programs get EAGAIN instead of a frozen window.
    Desktop,
}

/// Number of conversion threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Threads {
    /// One per core this process may use.
    Auto,
    /// Exactly so many.
    Fixed(NonZeroUsize),
}

impl Threads {
    /// The number of threads to start.
    pub fn count(self) -> NonZeroUsize {
        match self {
            Self::Fixed(count) => count,
            Self::Auto => std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
        }
    }
}

/// A filter for log lines that is known to parse: `info`, or `warn,clmsfs::fetch=debug`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFilter(String);

impl LogFilter {
    /// The filter's text, for `tracing_subscriber::EnvFilter`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for OnMiss {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "block" => Ok(Self::Block),
            "eagain" => Ok(Self::Eagain),
            _ => Err(format!("'{text}' is neither 'block' (wait) nor 'eagain' (fail at once)")),
        }
    }
}

impl fmt::Display for OnMiss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Block => "block",
            Self::Eagain => "eagain",
        })
    }
}

impl FromStr for Profile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "server" => Ok(Self::Server),
            "desktop" => Ok(Self::Desktop),
            _ => Err(format!("'{text}' is neither 'server' nor 'desktop'")),
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Server => "server",
            Self::Desktop => "desktop",
        })
    }
}

impl FromStr for Threads {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse::<NonZeroUsize>() {
            _ if text == "auto" => Ok(Self::Auto),
            Ok(count) if count.get() <= 1024 => Ok(Self::Fixed(count)),
            _ => Err(format!("'{text}' is neither 'auto' nor a number from 1 to 1024")),
        }
    }
}

impl fmt::Display for Threads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Fixed(count) => write!(f, "{count}"),
        }
    }
}

impl FromStr for LogFilter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // EnvFilter takes any word as the name of a target, so that a mistyped level would silence everything.
        const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
        let bad = text.split(',').map(str::trim).find(|part| {
            let level = part.rsplit_once('=').map_or(*part, |(_, level)| level);
            !LEVELS.contains(&level)
        });
        let valid = tracing_subscriber::EnvFilter::builder().parse(text).is_ok();
        match bad {
            None if valid => Ok(Self(text.to_owned())),
            _ => Err(format!(
                "'{text}' is no log filter; write off, error, warn, info, debug or trace, or for example 'info,clmsfs::fetch=debug'"
            )),
        }
    }
}

impl fmt::Display for LogFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
