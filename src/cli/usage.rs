//! What is said of a command line that makes no sense: one line, with the way out.

use std::process::ExitCode;

use clap::error::ErrorKind;

use super::output;

/// Says it and returns `code`. Help and version that were asked for are printed as they are.
pub(super) fn complain(error: &clap::Error, code: u8) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            let _ = error.print();
            ExitCode::SUCCESS
        }
        // nothing was said at all: the help is the answer
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = error.print();
            ExitCode::from(code)
        }
        _ => {
            output::complain(format_args!("{}", one_line(&error.render().to_string())));
            ExitCode::from(code)
        }
    }
}

/// clap's message without its paragraphs: what is wrong, the tips, and where the usage is told.
fn one_line(rendered: &str) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut usage = None;
    for line in rendered.lines().map(str::trim) {
        if let Some(words) = line.strip_prefix("Usage: ") {
            usage = Some(words.split(' ').take_while(|word| is_verb(word)).collect::<Vec<_>>().join(" "));
        } else if let Some(tip) = line.strip_prefix("tip: ") {
            parts.push(format!("; {tip}"));
        } else if line.starts_with('[') {
            parts.push(format!(" {line}"));
        } else if usage.is_none() && !line.is_empty() && !line.starts_with("For more information") {
            let gap = if parts.is_empty() { "" } else { " " };
            parts.push(format!("{gap}{}", line.strip_prefix("error: ").unwrap_or(line)));
        }
    }
    let command = usage.filter(|words| !words.is_empty()).unwrap_or_else(|| "clmsfs".to_owned());
    let told = parts.concat();
    // a value has its way out in its message
    if told.starts_with("invalid value") { told } else { format!("{told}; see {command} --help") }
}

/// `clmsfs`, `cache`, `pin`: no flag, no placeholder.
fn is_verb(word: &str) -> bool {
    word.chars().all(|letter| letter.is_ascii_lowercase() || letter == '.' || letter == '-')
        && !word.starts_with('-')
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn told(words: &[&str]) -> String {
        let error = super::super::command().try_get_matches_from([&["clmsfs"], words].concat()).unwrap_err();
        let told = one_line(&error.render().to_string());
        assert_eq!(told.lines().count(), 1, "{told}");
        told
    }

    #[test]
    fn the_nearest_name_is_told_and_where_to_look() {
        let option = told(&["mount", "/m", "--cache-siez", "4GB"]);
        assert!(option.starts_with("unexpected argument '--cache-siez' found; "), "{option}");
        assert!(option.contains("'--cache-size'") && option.ends_with("see clmsfs mount --help"), "{option}");
        let verb = told(&["mont"]);
        assert!(
            verb.contains("'mont'") && verb.contains("'mount'") && verb.ends_with("clmsfs --help"),
            "{verb}"
        );
        let value = told(&["mount", "/m", "--cache-size", "5 apples"]);
        assert!(value.contains("--cache-size") && value.contains("'apples' is not a unit"), "{value}");
        let missing = told(&["fetch"]);
        assert!(missing.contains("<ID>") && missing.ends_with("see clmsfs fetch --help"), "{missing}");
        let shell = told(&["completions", "tcsh"]);
        assert!(shell.contains("bash, zsh, fish"), "{shell}");
        let both = told(&["cache", "verfy", "x"]);
        assert!(both.contains("'verify'") && both.ends_with("see clmsfs cache --help"), "{both}");
    }
}
