//! What the tools found.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::Kind;
use crate::tools::Tools;

/// One check of one raster by one tool.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Line {
    /// Name of the kind.
    pub(crate) kind: String,
    /// Name of the tool, with the view where it has several.
    pub(crate) tool: String,
    /// What was looked at.
    pub(crate) check: String,
    /// Whether it was right.
    pub(crate) result: Verdict,
    /// Why it failed.
    pub(crate) reason: String,
}

/// Outcome of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    /// Right.
    Pass,
    /// Wrong.
    Fail,
}

impl Line {
    /// A finding of this test's own.
    pub(crate) fn new(kind: &str, tool: &str, check: &str, outcome: Result<(), String>) -> Self {
        let result = if outcome.is_ok() { Verdict::Pass } else { Verdict::Fail };
        let reason = outcome.err().unwrap_or_default();
        Self { kind: kind.into(), tool: tool.into(), check: check.into(), result, reason }
    }
}

/// (kind, tool, check), and the reasons why it failed: none when it passed.
pub(crate) type Checks = BTreeMap<(String, String, String), Vec<String>>;

/// Everything that was found.
#[derive(Debug)]
pub(crate) struct Findings {
    /// By kind, tool and check. A kind with several rasters, or a tool with several ways, passes when all do.
    pub(crate) checks: Checks,
    /// Checks that a tool should have made and did not.
    pub(crate) missing: Vec<Missing>,
}

/// A check that a tool should have made.
#[derive(Debug)]
pub(crate) struct Missing {
    /// Of which tool.
    pub(crate) tool: String,
    kind: String,
    check: String,
}

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {}: no check '{}'", self.tool, self.kind, self.check)
    }
}

impl Findings {
    /// Sorts the lines, and sees to it that no tool forgot anything.
    pub(crate) fn new(kinds: &[Kind], tools: &Tools, lines: Vec<Line>) -> Self {
        let mut checks = Checks::new();
        for line in lines {
            let reasons = checks.entry((line.kind, line.tool, line.check)).or_default();
            if line.result == Verdict::Fail {
                reasons.push(line.reason);
            }
        }
        let mut missing = Vec::new();
        for kind in kinds {
            let told = tools.present.iter().flat_map(|tool| tool.lines);
            for told in told.filter(|told| kind.data.contains(&told.about)) {
                let tool = told.name;
                let made = |check: &str| checks.contains_key(&(kind.name.clone(), tool.into(), check.into()));
                // What does not open cannot be looked at.
                if made("open") || failed(&checks, &kind.name, tool, "valid") {
                    continue;
                }
                let forgotten = told.checks.iter().filter(|check| !made(check));
                missing.extend(forgotten.map(|check| Missing {
                    tool: tool.into(),
                    kind: kind.name.clone(),
                    check: (*check).into(),
                }));
            }
        }
        Self { checks, missing }
    }
}

fn failed(checks: &Checks, kind: &str, tool: &str, check: &str) -> bool {
    checks.get(&(kind.into(), tool.into(), check.into())).is_some_and(|reasons| !reasons.is_empty())
}
