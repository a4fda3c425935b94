//! `clmsfs fetch ID…`: fetches and shows how far it is.

use std::collections::HashMap;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command};
use indicatif::ProgressBar;

use super::output::{Bars, printable, show};
use super::{Ending, Failure, NOT_READY, control, json_flag, mount_flag, products, wants_json};
use crate::control::client::Control;
use crate::control::server::{Ids, Outcome, ProductLine};
use crate::fetch::state::ProductState;

/// How often progress is asked for; over a local socket, from memory.
const LOOK: Duration = Duration::from_millis(150);
/// Exit code after Ctrl-C, as shells have it.
const INTERRUPTED: u8 = 130;

pub(super) fn command() -> Command {
    Command::new("fetch")
        .about("Fetch products, with a progress bar for each")
        .arg(
            Arg::new("ids")
                .value_name("ID")
                .required(true)
                .num_args(1..)
                .help("<dataset>/<product>, a path below the mount, or dataset|file"),
        )
        .arg(
            Arg::new("no-wait")
                .long("no-wait")
                .action(ArgAction::SetTrue)
                .help("Only start; exit code 3 when something is not ready yet"),
        )
        .arg(
            Arg::new("attach")
                .long("attach")
                .action(ArgAction::SetTrue)
                .conflicts_with_all(["no-wait", "refresh"])
                .help("Only watch fetches that somebody else has started; exit code 3 when there is none"),
        )
        .arg(
            Arg::new("refresh")
                .long("refresh")
                .action(ArgAction::SetTrue)
                .help("Order and fetch anew what is here already; it is served until the newer one has come"),
        )
        .arg(mount_flag())
        .arg(json_flag())
}

pub(super) async fn run(arguments: &ArgMatches) -> Ending {
    let control = control(arguments)?;
    let ids = products(arguments, &control);
    if arguments.get_flag("attach") {
        return attach(&control, &ids, wants_json(arguments)).await;
    }
    let refresh = arguments.get_flag("refresh");
    let way = if refresh { "/refresh" } else { "/fetch" };
    let outcomes: Vec<Outcome> = control.post(way, &Ids { ids, tasks: Vec::new() }).await?;
    let mut failed = false;
    for outcome in outcomes.iter().filter(|outcome| !outcome.ok) {
        eprintln!("clmsfs: {}: {}", printable(&outcome.id), printable(&outcome.message));
        failed = true;
    }
    // the mount answers with the product's own name
    let paths: Vec<String> =
        outcomes.into_iter().filter(|outcome| outcome.ok).map(|outcome| outcome.message).collect();
    let lines = if arguments.get_flag("no-wait") {
        Some(control.post("/progress", &Ids { ids: paths.clone(), tasks: Vec::new() }).await?)
    } else {
        follow(&control, &paths).await?
    };
    let Some(lines) = lines else { return Ok(ExitCode::from(INTERRUPTED)) };
    failed |= tell_of_missing(&paths, &lines);
    // one that is here is ready even when no newer one came
    let has_failed = |line: &&ProductLine| match line.progress.state {
        ProductState::Failed => true,
        ProductState::Ready => refresh && line.progress.error.is_some(),
        _ => false,
    };
    for line in lines.iter().filter(has_failed) {
        let reason = line.progress.error.as_deref().unwrap_or("no reason given");
        eprintln!("clmsfs: {}: {}", printable(&line.path), printable(reason));
        failed = true;
    }
    if wants_json(arguments) {
        println!("{}", super::output::json(&lines)?);
    } else {
        for line in lines.iter().filter(|line| line.progress.state == ProductState::Ready) {
            println!("{}", control.mountpoint().join(&line.path).display());
        }
    }
    let waiting = lines.iter().any(|line| line.progress.state != ProductState::Ready);
    Ok(match (failed, waiting) {
        (true, _) => ExitCode::FAILURE,
        (false, true) => ExitCode::from(NOT_READY),
        (false, false) => ExitCode::SUCCESS,
    })
}

/// Watches fetches that are under way, and starts none.
async fn attach(control: &Control, ids: &[String], json: bool) -> Ending {
    let mut paths = Vec::new();
    let mut failed = false;
    for id in ids {
        let found: Vec<ProductLine> =
            control.post("/progress", &Ids { ids: vec![id.clone()], tasks: Vec::new() }).await?;
        match found.into_iter().next() {
            Some(line) => paths.push(line.path),
            None => {
                eprintln!("clmsfs: no product '{}': see clmsfs search", printable(id));
                failed = true;
            }
        }
    }
    let Some(lines) = follow(control, &paths).await? else { return Ok(ExitCode::from(INTERRUPTED)) };
    failed |= tell_of_missing(&paths, &lines);
    if json {
        println!("{}", super::output::json(&lines)?);
    }
    let mut missing = false;
    for line in &lines {
        let reason = line.progress.error.as_deref();
        match line.progress.state {
            ProductState::Ready if !json => println!("{}", control.mountpoint().join(&line.path).display()),
            ProductState::Ready => {}
            ProductState::Failed => {
                let reason = reason.unwrap_or("no reason given");
                eprintln!("clmsfs: {}: {}", printable(&line.path), printable(reason));
                failed = true;
            }
            _ => {
                let reason = reason.map(|reason| format!(" ({})", printable(reason))).unwrap_or_default();
                let path = printable(&line.path);
                eprintln!("clmsfs: {path}: not here, and nobody fetches it{reason}: clmsfs fetch does");
                missing = true;
            }
        }
    }
    Ok(match (failed, missing) {
        (true, _) => ExitCode::FAILURE,
        (false, true) => ExitCode::from(NOT_READY),
        (false, false) => ExitCode::SUCCESS,
    })
}

/// Tells of the products that were followed and are not there any more: their fetches go on, and nobody sees the end.
fn tell_of_missing(paths: &[String], lines: &[ProductLine]) -> bool {
    let is_missing = |path: &&String| !lines.iter().any(|line| line.path == **path);
    let missing: Vec<_> = paths.iter().filter(is_missing).collect();
    for path in &missing {
        eprintln!("clmsfs: {}: not in the catalogue any more: see clmsfs jobs", printable(path));
    }
    !missing.is_empty()
}

/// Shows bars until every fetch has ended. `None` after Ctrl-C, which ends the watching and no fetch.
async fn follow(control: &Control, paths: &[String]) -> Result<Option<Vec<ProductLine>>, Failure> {
    if paths.is_empty() {
        return Ok(Some(Vec::new()));
    }
    tokio::select! {
        lines = follow_to_the_end(control, paths) => lines.map(Some),
        interrupted = tokio::signal::ctrl_c() => {
            interrupted?;
            eprintln!("clmsfs: the fetch goes on; clmsfs cancel ends it");
            Ok(None)
        }
    }
}

async fn follow_to_the_end(control: &Control, paths: &[String]) -> Result<Vec<ProductLine>, Failure> {
    let bars = Bars::new();
    let mut shown: HashMap<String, ProgressBar> = HashMap::new();
    let ids = Ids { ids: paths.to_vec(), tasks: Vec::new() };
    loop {
        let lines: Vec<ProductLine> = control.post("/progress", &ids).await?;
        for line in &lines {
            let bar = shown.entry(line.path.clone()).or_insert_with(|| bars.add(&line.path));
            show(bar, &line.progress);
            if !line.progress.state.is_under_way() {
                bar.finish();
            }
        }
        if lines.iter().all(|line| !line.progress.state.is_under_way()) {
            return Ok(lines);
        }
        tokio::time::sleep(LOOK).await;
    }
}
