//! `clmsfs simulate`: the embedded CLMS, for people who write against the API.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Arg, ArgMatches, Command};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use super::{Ending, log, output};
use crate::simulator::{self, Options, Scenario};

pub(super) fn command() -> Command {
    let path = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help).value_parser(clap::value_parser!(PathBuf))
    };
    Command::new("simulate")
        .about(
            "Run a simulated CLMS on this machine until Ctrl-C; prints its address and key as one JSON line",
        )
        .arg(
            Arg::new("listen")
                .long("listen")
                .value_name("ADDR:PORT")
                .default_value("127.0.0.1:0")
                .help("Where to listen; port 0 = any free one")
                .value_parser(address),
        )
        .arg(path(
            "key-out",
            "FILE",
            "Write the service key there [default: clmsfs-simulator-key-PID.json in the temporary directory]",
        ))
        .arg(path("data", "DIR", "Also serve every .zip in this directory as a product; NAME.json beside NAME.zip overrides fields of its record"))
        .arg(path("scenario", "FILE", "Delays and faults, as TOML"))
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| format!("'{text}' is no address with a port; write for example 127.0.0.1:8080"))
}

pub(super) async fn run(arguments: &ArgMatches) -> Ending {
    let _ = log::start("warn");
    let path = |name: &str| arguments.get_one::<PathBuf>(name).cloned();
    let scenario = match path("scenario") {
        Some(file) => {
            let text =
                std::fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
            Scenario::from_toml(&text).map_err(|error| format!("{}: {error}", file.display()))?
        }
        None => Scenario::default(),
    };
    let key_out = path("key-out").unwrap_or_else(|| {
        std::env::temp_dir().join(format!("clmsfs-simulator-key-{}.json", std::process::id()))
    });
    let simulator = simulator::start(Options {
        listen: *arguments.get_one::<SocketAddr>("listen").expect("it has a default"),
        key_out: Some(key_out),
        data: path("data"),
        scenario,
        world: None,
    })
    .await?;
    let line = json!({"api": simulator.api(), "key": simulator.key_path()});
    output::say(format_args!("{line}"));
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    // takes its packages out of the temporary directory
    simulator.shutdown().await;
    Ok(ExitCode::SUCCESS)
}
