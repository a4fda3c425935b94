//! `clmsfs man [--out DIR]`: the manual pages. What they say of verbs and flags comes from the command line itself, what they
//! say of options from the one table of options.

mod helper;
mod page;
mod program;
mod settings;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Arg, ArgMatches, Command, ValueHint};

use self::page::Page;
use super::Ending;

pub(super) fn command() -> Command {
    Command::new("man").about("Print the manual page clmsfs(1), or write all pages to a folder").arg(
        Arg::new("out")
            .long("out")
            .value_name("DIR")
            .help("Write all pages there: clmsfs.1, one for each verb, clmsfs.toml.5 and mount.clmsfs.8")
            .value_hint(ValueHint::DirPath)
            .value_parser(clap::value_parser!(PathBuf)),
    )
}

pub(super) fn run(arguments: &ArgMatches) -> Ending {
    let Some(folder) = arguments.get_one::<PathBuf>("out") else {
        print!("{}", program::main_page()?.text());
        return Ok(ExitCode::SUCCESS);
    };
    let fail = |path: &std::path::Path, error: std::io::Error| format!("{}: {error}", path.display());
    std::fs::create_dir_all(folder).map_err(|error| fail(folder, error))?;
    for page in pages()? {
        let path = folder.join(page.file_name());
        std::fs::write(&path, page.text()).map_err(|error| fail(&path, error))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// All pages.
///
/// # Errors
/// None in practice: they are written to memory.
fn pages() -> std::io::Result<Vec<Page>> {
    let mut pages = vec![program::main_page()?];
    pages.extend(program::verb_pages()?);
    pages.extend([settings::page(), helper::page()?]);
    Ok(pages)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::config::OPTIONS;

    fn find(name: &str) -> String {
        let pages = pages().unwrap();
        let page = pages.iter().find(|page| page.file_name() == name);
        // as the reader sees it: without escapes
        page.unwrap_or_else(|| panic!("no page {name}")).text().replace("\\-", "-").replace("\\&", "")
    }

    #[test]
    fn every_option_is_in_the_pages_of_its_three_spellings() {
        let (mount, file, helper) = (find("clmsfs-mount.1"), find("clmsfs.toml.5"), find("mount.clmsfs.8"));
        for spec in OPTIONS {
            let flag = format!("--{}", spec.flag());
            assert!(mount.contains(&flag), "clmsfs-mount(1) does not tell of {flag}");
            assert!(mount.contains(&spec.env()), "clmsfs-mount(1) does not tell of {}", spec.env());
            assert!(file.contains(&format!("\\fB{}\\fR", spec.name)), "clmsfs.toml(5): {}", spec.name);
            assert!(helper.contains(&format!("\\fB{}", spec.name)), "mount.clmsfs(8): {}", spec.name);
        }
    }

    #[test]
    fn every_verb_has_a_page_and_the_hidden_one_has_none() {
        let main = find("clmsfs.1");
        for verb in super::super::command().get_subcommands() {
            let name = verb.get_name();
            let has_page = pages().unwrap().iter().any(|page| page.file_name() == format!("clmsfs-{name}.1"));
            assert_eq!(has_page, !verb.is_hide_set(), "{name}");
            assert_eq!(main.contains(&format!("clmsfs-{name}(1)")), !verb.is_hide_set(), "{name}");
        }
        assert!(find("clmsfs-cache-pin.1").contains("clmsfs cache pin"));
    }

    #[test]
    fn pages_are_plain_text_for_any_device() {
        for page in pages().unwrap() {
            assert!(page.text().is_ascii(), "{}", page.file_name());
            let first = page.text().lines().find(|line| line.starts_with(".TH"));
            assert!(first.is_some(), "{} has no title", page.file_name());
        }
    }
}
