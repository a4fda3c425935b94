//! Reading the settings anew: how it is asked for, and what came of it.

use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

use crate::config::Change;

/// A wish to have the settings read anew.
#[derive(Debug, Default)]
pub struct Request {
    /// Who wants to know what came of it.
    pub answer: Option<oneshot::Sender<Report>>,
}

/// Where to ask for it; requests are answered one after another.
pub type Requests = mpsc::Sender<Request>;

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Why nothing was changed; empty when the settings are in force.
    pub errors: Vec<String>,
    /// Options that have changed.
    pub changed: Vec<Change>,
    /// Whether the rules have changed.
    pub rules_changed: bool,
    /// Options that differ and wait for the next mount.
    pub waiting: Vec<Change>,
    /// What else is to be known.
    pub remarks: Vec<String>,
}

impl Report {
    /// Nothing was changed, and why.
    pub fn refused(errors: Vec<String>) -> Self {
        Self { errors, ..Self::default() }
    }

    /// True when the settings are in force.
    pub fn is_in_force(&self) -> bool {
        self.errors.is_empty()
    }

    /// What has changed, in a line.
    pub fn changes(&self) -> String {
        let mut words: Vec<String> = self.changed.iter().map(Change::to_string).collect();
        if self.rules_changed {
            words.push("rules".to_owned());
        }
        if words.is_empty() { "nothing has changed".to_owned() } else { words.join(", ") }
    }

    /// What waits for the next mount, in a line.
    pub fn waits(&self) -> Option<String> {
        let words: Vec<String> = self.waiting.iter().map(Change::to_string).collect();
        (!words.is_empty()).then(|| words.join(", "))
    }
}

/// Asks for it, and waits for the outcome; `None` when the mount is ending.
pub async fn ask(requests: &Requests) -> Option<Report> {
    let (answer, outcome) = oneshot::channel();
    requests.send(Request { answer: Some(answer) }).await.ok()?;
    outcome.await.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_in_words() {
        let change = |option: &str| Change {
            option: option.to_owned(),
            from: Some("1".to_owned()),
            to: Some("2".to_owned()),
            source: "/c:3".to_owned(),
        };
        let mut report = Report::default();
        assert_eq!((report.changes().as_str(), report.waits()), ("nothing has changed", None));
        report.changed = vec![change("a"), change("b")];
        report.rules_changed = true;
        report.waiting = vec![change("c")];
        assert_eq!(report.changes(), "a 1 → 2 (/c:3), b 1 → 2 (/c:3), rules");
        assert_eq!(report.waits().as_deref(), Some("c 1 → 2 (/c:3)"));
    }
}
