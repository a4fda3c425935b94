//! `clmsfs status`, and the live view of `--watch`.

use std::process::ExitCode;
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command};
use tokio::signal::unix::{SignalKind, signal};

use super::output::{json_line, terminal_width};
use super::screen::{self, End, Screen};
use super::{Ending, Failure, control, json_flag, mount_flag, picture, wants_json};
use crate::control::client::Control;
use crate::control::status::Status;
use crate::fetch::now;

/// How often `--watch` looks.
const WATCH: Duration = Duration::from_secs(1);

pub(super) fn command() -> Command {
    Command::new("status").about("Show what a mount is doing").arg(mount_flag()).arg(json_flag()).arg(
        Arg::new("watch")
            .long("watch")
            .action(ArgAction::SetTrue)
            .help("Show it anew every second, until Ctrl-C or q; with --json a line each time"),
    )
}

pub(super) async fn run(arguments: &ArgMatches) -> Ending {
    let control = control(arguments)?;
    match (arguments.get_flag("watch"), wants_json(arguments)) {
        (false, true) => println!("{}", super::output::json(&look(&control).await?)?),
        (false, false) => print(&picture::status(&look(&control).await?, now(), terminal_width())),
        (true, false) if screen::is_possible() => return watch(&control).await,
        (true, json) => loop {
            let status = look(&control).await?;
            if json {
                println!("{}", json_line(&status)?);
            } else {
                print(&picture::status(&status, now(), terminal_width()));
                println!();
            }
            tokio::time::sleep(WATCH).await;
        },
    }
    Ok(ExitCode::SUCCESS)
}

async fn look(control: &Control) -> Result<Status, Failure> {
    Ok(control.get("/status", &[]).await?)
}

fn print(lines: &[String]) {
    for line in lines {
        println!("{line}");
    }
}

/// The live view.
async fn watch(control: &Control) -> Ending {
    // what cannot be shown at all is said where it stays readable
    let first = look(control).await?;
    let mut end = End::new()?;
    let mut screen = Screen::enter()?;
    let has_keyboard = screen.has_keyboard();
    let shown = tokio::select! {
        () = end.wanted(has_keyboard) => Ok(ExitCode::SUCCESS),
        failure = repaint(control, first, &mut screen) => failure.map(|never| match never {}),
    };
    drop(screen);
    shown
}

/// Paints until the mount is gone or the terminal is.
async fn repaint(
    control: &Control,
    mut status: Status,
    screen: &mut Screen,
) -> Result<std::convert::Infallible, Failure> {
    let mut resized = signal(SignalKind::window_change())?;
    let mut paused = signal(SignalKind::from_raw(libc::SIGTSTP))?;
    let mut tick = tokio::time::interval(WATCH);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    tick.reset();
    loop {
        let (columns, rows) = Screen::size();
        // a line that fills the last column would make terminals wrap
        screen.show(&picture::fitting(&status, now(), columns.saturating_sub(1), rows))?;
        tokio::select! {
            _ = tick.tick() => status = look(control).await?,
            _ = resized.recv() => {}
            _ = paused.recv() => screen.pause()?,
        }
    }
}
