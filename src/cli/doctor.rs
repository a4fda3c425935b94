//! `clmsfs doctor`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{ArgMatches, Command};

use super::output::{self, WIDTH, printable, wrapped};
use super::{
    Ending, config_flag, json_flag, offline_flag, only_mount_flag, settings_looked_at, timeout, timeout_flag,
    wants_json,
};
use crate::config::flags;
use crate::doctor::{self, Finding, Fix, Outcome, Report, Scope};

/// Where the words of a finding begin.
const INDENT: usize = 30;

pub(super) fn command() -> Command {
    Command::new("doctor")
        .about("Look for what is wrong, and say how it is mended")
        .arg(only_mount_flag())
        .arg(offline_flag())
        .arg(timeout_flag())
        .arg(json_flag())
        .arg(config_flag())
        .args(flags::clap_args())
}

pub(super) async fn run(arguments: &ArgMatches) -> Ending {
    let configured =
        settings_looked_at(arguments).map(|resolved| resolved.settings).map_err(|error| error.to_string());
    let scope = Scope {
        mount: arguments.get_one::<PathBuf>("mount").cloned(),
        offline: arguments.get_flag("offline"),
        limit: timeout(arguments),
    };
    let report = doctor::examine(configured, scope).await;
    if wants_json(arguments) {
        println!("{}", output::json(&report)?);
    } else {
        print!("{}", text(&report, output::has_colours(&std::io::stdout())));
    }
    let is_well = report.count(Outcome::Problem) == 0;
    Ok(if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The table of findings and how many there are of each kind.
fn text(report: &Report, has_colours: bool) -> String {
    let mut text: String = report.findings.iter().map(|finding| row(finding, has_colours)).collect();
    let counts = [Outcome::Problem, Outcome::Warning, Outcome::Ok, Outcome::NotChecked]
        .map(|outcome| (report.count(outcome), outcome));
    let words: Vec<String> = counts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, outcome)| match outcome {
            Outcome::Problem | Outcome::Warning if *count > 1 => format!("{count} {}s", outcome.words()),
            _ => format!("{count} {}", outcome.words()),
        })
        .collect();
    text.push_str(&format!("\n{}\n", words.join(", ")));
    if report.count(Outcome::Problem) > 0 {
        text.push_str("Still wrong afterwards? clmsfs bugreport gathers what others need to help.\n");
    }
    text
}

/// One finding: its words wrapped, its fix below them.
fn row(finding: &Finding, has_colours: bool) -> String {
    let colour = match finding.outcome {
        _ if !has_colours => None,
        Outcome::Ok => Some("32"),
        Outcome::Warning => Some("33"),
        Outcome::Problem => Some("31"),
        Outcome::NotChecked => Some("2"),
    };
    let word = format!("{:<13}", finding.outcome.words());
    let word = colour.map_or(word.clone(), |colour| format!("\x1b[{colour}m{word}\x1b[0m"));
    let mut lines: Vec<String> =
        finding.says.lines().flat_map(|line| wrapped(&printable(line), WIDTH - INDENT)).collect();
    match &finding.fix {
        None => {}
        // to be copied whole
        Some(Fix::Run(command)) => lines.push(format!("$ {}", printable(command))),
        Some(Fix::Do(words)) => {
            let words = wrapped(&printable(words), WIDTH - INDENT - 2);
            lines.extend(words.iter().enumerate().map(|(number, line)| {
                let mark = if number == 0 { '→' } else { ' ' };
                format!("{mark} {line}")
            }));
        }
    }
    let mut row = format!("{word}{:<17}{}\n", finding.check.name(), lines.first().map_or("", String::as_str));
    for line in lines.iter().skip(1) {
        let indent = if INDENT + line.chars().count() <= WIDTH { INDENT } else { 2 };
        row.push_str(&format!("{:indent$}{line}\n", ""));
    }
    row
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Check;

    fn finding(outcome: Outcome, says: &str, fix: Option<Fix>) -> Finding {
        Finding { check: Check::RequestTimeout, outcome, says: says.to_owned(), fix }
    }

    #[test]
    fn a_row_fits_and_its_command_can_be_copied() {
        let says = "fs.fuse.default_request_timeout is 60: the kernel ends the whole mount when a reader waits longer";
        let command =
            "sudo sysctl -w fs.fuse.default_request_timeout=0 fs.fuse.max_request_timeout=0 and more";
        let row = row(&finding(Outcome::Problem, says, Some(Fix::Run(command.to_owned()))), false);
        let expected = "\
problem      request-timeout  fs.fuse.default_request_timeout is 60: the kernel
                              ends the whole mount when a reader waits longer
  $ sudo sysctl -w fs.fuse.default_request_timeout=0 fs.fuse.max_request_timeout=0 and more
";
        assert_eq!(row, expected);
    }

    #[test]
    fn words_are_wrapped_and_coloured_and_play_with_no_terminal() {
        let fix = Some(Fix::Do("one two three four five six seven eight nine ten eleven".to_owned()));
        let plain = row(&finding(Outcome::Warning, "a\u{1b}[2Jb\nc", fix.clone()), false);
        let expected = "\
warning      request-timeout  a\u{fffd}[2Jb
                              c
                              → one two three four five six seven eight nine ten
                                eleven
";
        assert_eq!(plain, expected);
        let coloured = row(&finding(Outcome::Warning, "a", None), true);
        assert!(coloured.starts_with("\u{1b}[33mwarning      \u{1b}[0mrequest-timeout"), "{coloured:?}");
    }

    #[test]
    fn the_last_lines_count() {
        let findings = vec![
            finding(Outcome::Problem, "", None),
            finding(Outcome::Problem, "", None),
            finding(Outcome::Ok, "", None),
            finding(Outcome::NotChecked, "", None),
        ];
        let text = text(&Report { version: "1", findings }, false);
        assert!(text.contains("\n2 problems, 1 ok, 1 not checked\n"), "{text}");
        assert!(text.contains("clmsfs bugreport"), "{text}");
    }
}
