//! Manual pages that man(1) shows without a complaint, and completions that shells understand.

use std::path::{Path, PathBuf};

use crate::support::process::{Finished, Reader, clmsfs, command, run};

/// Where a program is; `None` (with the reason printed) where it is not installed.
fn installed(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file());
    if found.is_none() {
        eprintln!("SKIPPED: {program} is not installed");
    }
    found
}

/// Runs the program in `home`.
fn told(home: &Path, words: &[&str]) -> Finished {
    let mut command = clmsfs(home);
    command.args(words);
    Reader::spawn(command).finish()
}

/// All pages in a folder of the test.
fn pages(home: &Path) -> Vec<PathBuf> {
    let folder = home.join("pages");
    told(home, &["man", "--out", folder.to_str().unwrap()]).success();
    let mut pages: Vec<PathBuf> =
        std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    pages.sort();
    pages
}

#[test]
fn there_is_a_page_for_program_verbs_settings_and_helper() {
    let home = tempfile::tempdir().unwrap();
    let names: Vec<String> = pages(home.path())
        .iter()
        .map(|page| page.file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    for wanted in ["clmsfs.1", "clmsfs-mount.1", "clmsfs-cache-evict.1", "clmsfs.toml.5", "mount.clmsfs.8"] {
        assert!(names.iter().any(|name| name == wanted), "no {wanted} in {names:?}");
    }
    assert!(!names.iter().any(|name| name.contains("help")), "{names:?}");
    // without a folder it is the main page
    let page = told(home.path(), &["man"]).success().stdout;
    assert!(page == std::fs::read(home.path().join("pages/clmsfs.1")).unwrap());
}

#[test]
fn groff_and_man_find_no_fault() {
    let home = tempfile::tempdir().unwrap();
    let pages = pages(home.path());
    assert!(pages.len() > 20, "{pages:?}");
    if installed("groff").is_some() {
        for page in &pages {
            let formatted = run(
                "groff",
                &["-ww".as_ref(), "-man".as_ref(), "-Tutf8".as_ref(), "-z".as_ref(), page.as_os_str()],
            );
            assert!(formatted.success().stderr.is_empty(), "{}", page.display());
        }
    }
    if installed("man").is_some() {
        for name in ["clmsfs.1", "clmsfs-mount.1", "clmsfs.toml.5", "mount.clmsfs.8"] {
            let mut command = command("man");
            command.args(["--warnings", "-l"]).arg(home.path().join("pages").join(name));
            command.env("MANWIDTH", "80").env("LC_ALL", "C.UTF-8").env("MANPAGER", "cat").env("PAGER", "cat");
            let shown = Reader::spawn(command).finish().success();
            assert!(shown.stderr.is_empty(), "{name}: {}", shown.stderr);
            // Debian's minimal images have a man(1) that only says that it was left out
            if shown.text().contains("SEE ALSO") {
                assert!(
                    shown.text().lines().all(|line| line.chars().count() <= 80),
                    "{name}\n{}",
                    shown.text()
                );
            } else {
                eprintln!("SKIPPED: man shows no pages here");
            }
        }
    }
}

#[test]
fn bash_completes_verbs_options_and_choices() {
    let home = tempfile::tempdir().unwrap();
    let script = home.path().join("clmsfs.bash");
    std::fs::write(&script, told(home.path(), &["completions", "bash"]).success().stdout).unwrap();
    run("bash", &["-n".as_ref(), script.as_os_str()]).success();
    let replies = |line: &[&str]| -> Vec<String> {
        // what bash does when Tab is pressed behind the last word
        let completing = r#"source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
            _clmsfs clmsfs "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
            printf '%s\n' "${COMPREPLY[@]}""#;
        let words = ["--norc", "-c", completing, "bash", script.to_str().unwrap()];
        let told = run("bash", &[&words, line].concat());
        told.success().text().lines().map(str::to_owned).collect()
    };
    assert_eq!(replies(&["clmsfs", "con"]), ["config"]);
    assert_eq!(replies(&["clmsfs", "cache", "ver"]), ["verify"]);
    assert_eq!(replies(&["clmsfs", "mount", "--on-m"]), ["--on-miss"]);
    assert_eq!(replies(&["clmsfs", "mount", "--on-miss", ""]), ["block", "eagain"]);
    assert_eq!(replies(&["clmsfs", "completions", "f"]), ["fish"]);
}

#[test]
fn zsh_and_fish_understand_theirs() {
    let home = tempfile::tempdir().unwrap();
    for (shell, check) in [("zsh", "-n"), ("fish", "--no-execute")] {
        let script = home.path().join(shell);
        std::fs::write(&script, told(home.path(), &["completions", shell]).success().stdout).unwrap();
        assert!(std::fs::metadata(&script).unwrap().len() > 1000);
        if installed(shell).is_some() {
            let read = run(shell, &[check.as_ref(), script.as_os_str()]).success();
            assert!(read.stderr.is_empty(), "{shell}: {}", read.stderr);
        }
    }
}
