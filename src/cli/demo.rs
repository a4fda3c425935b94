//! `clmsfs demo [MOUNTPOINT]`: a simulated service, a mount over it, and a walk through both.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::time::{Duration, Instant};

use clap::{Arg, ArgMatches, Command};
use tokio::process::Command as Program;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::output::{self, Bars, show, size};
use super::{Ending, Failure, absolute, log};
use crate::config::{PartialSettings, Settings, Source};
use crate::control::client::Control;
use crate::control::server::{Ids, ProductLine};
use crate::fuse::{daemon, mountpoint};
use crate::simulator::{self, Options, Scenario, Simulator};

/// The product that the walk fetches: a raster among vectors.
const DATASET: &str = "clc2018";
const PRODUCT: &str = "raster100m";
/// How often progress is asked for.
const LOOK: Duration = Duration::from_millis(150);
/// The service takes its time, so that there is something to see.
const SCENARIO: &str = "queued = '1500ms'\nrunning = '1500ms'\n";

pub(super) fn command() -> Command {
    Command::new("demo")
        .about("Simulate the service, mount it, and show what it is like; leaves nothing behind")
        .arg(
            Arg::new("mountpoint")
                .value_name("MOUNTPOINT")
                .help("Mount there and stay until Ctrl-C, to look around")
                .value_parser(clap::value_parser!(PathBuf)),
        )
}

pub(super) async fn run(arguments: &ArgMatches) -> Ending {
    let _ = log::start("warn");
    let home = Home::new()?;
    heading("starting a simulated CLMS on loopback");
    let simulator = simulator::start(Options {
        listen: ([127, 0, 0, 1], 0).into(),
        key_out: Some(home.path.join("key.json")),
        data: None,
        scenario: Scenario::from_toml(SCENARIO)?,
        world: None,
    })
    .await?;
    output::say(format_args!("  {}", simulator.api()));
    let stay = arguments.get_one::<PathBuf>("mountpoint");
    let mountpoint = match stay {
        Some(path) => absolute(path)?,
        None => home.path.join("clms"),
    };
    std::fs::create_dir_all(&mountpoint)?;

    let stop = CancellationToken::new();
    let (tell, mounted) = oneshot::channel();
    let settings = settings(&simulator, &home.path)?;
    let daemon = {
        let (mountpoint, stop) = (mountpoint.clone(), stop.clone());
        tokio::spawn(async move {
            daemon::run(settings, None, mountpoint::SOURCE, &mountpoint, stop, |path| {
                let _ = tell.send(path.to_owned());
            })
            .await
        })
    };
    let Ok(mountpoint) = mounted.await else {
        daemon.await??;
        return Err("the mount ended before it began".into());
    };
    let walked = match stay {
        None => walk(&mountpoint).await,
        Some(_) => {
            heading(&format!(
                "mounted at {}; look around in another terminal, Ctrl-C ends it",
                mountpoint.display()
            ));
            output::say(format_args!(
                "  ls {0}\n  gdalinfo {0}/{DATASET}/*{PRODUCT}/*.tif\n  clmsfs status",
                mountpoint.display()
            ));
            Ok(())
        }
    };
    if stay.is_none() {
        heading("unmounting");
        stop.cancel();
    }
    daemon.await??;
    simulator.shutdown().await;
    walked?;
    if stay.is_none() {
        drop(home);
        heading("done: nothing is left behind");
    }
    Ok(ExitCode::SUCCESS)
}

/// A directory for cache, key and mount point that goes away with the demo.
struct Home {
    path: PathBuf,
}

impl Home {
    fn new() -> Result<Self, Failure> {
        let path = std::env::temp_dir().join(format!("clmsfs-demo-{}", std::process::id()));
        std::fs::create_dir(&path)?;
        Ok(Self { path })
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.path) {
            output::complain(format_args!("{} is left behind: {error}", self.path.display()));
        }
    }
}

fn settings(simulator: &Simulator, home: &Path) -> Result<crate::config::Resolved, Failure> {
    let mut partial = PartialSettings::default();
    let demo = || Source::Flag("demo".to_owned());
    let key = simulator.key_path().ok_or("the simulator wrote no key")?;
    partial.set("credentials", &key.display().to_string(), demo())?;
    partial.set("api_url", simulator.api(), demo())?;
    partial.set("cache_dir", &home.join("cache").display().to_string(), demo())?;
    partial.set("cache_size", "2GB", demo())?;
    partial.set("free_space_floor", "0", demo())?;
    partial.set("log", "warn", demo())?;
    Ok(Settings::resolve(&partial, |_| None, None)?)
}

async fn walk(mountpoint: &Path) -> Result<(), Failure> {
    let control = Control::find(Some(mountpoint))?;
    let products: Vec<ProductLine> = control.get("/products", &[("text", DATASET)]).await?;
    let product = products.iter().find(|product| product.path.ends_with(PRODUCT));
    let product = product.ok_or("the simulator has no CORINE Land Cover")?.path.clone();
    let name = product.rsplit('/').next().unwrap_or_default().to_owned();
    let directory = mountpoint.join(&product);
    let tif = directory.join(format!("{name}.tif"));
    let zarr = directory.join(format!("{name}.zarr"));

    heading("the catalogue is a folder; looking costs nothing");
    shell("ls", &[mountpoint], &[]).await?;
    shell("ls", &[&directory], &["-l"]).await?;

    heading(
        "gdalinfo on a file that is not here: it is ordered, prepared, downloaded and converted meanwhile",
    );
    let started = Instant::now();
    watched(&control, &product, gdalinfo(&tif)).await?;
    output::say(format_args!("  first open: {:.1} s", started.elapsed().as_secs_f64()));

    heading("the second time it comes from the cache");
    let started = Instant::now();
    let bytes = tokio::fs::read(&tif).await?.len();
    output::say(format_args!(
        "  read {} in {:.0} ms",
        size(bytes as u64),
        started.elapsed().as_secs_f64() * 1000.0
    ));
    shell("ls", &[&directory], &["-l"]).await?;

    heading("the same pixels as Zarr");
    read_zarr(&zarr).await?;

    heading("clmsfs status");
    let program = std::env::current_exe()?;
    let status = Program::new(program).args(["status", "--mount"]).arg(mountpoint).status().await?;
    if !status.success() {
        return Err(format!("clmsfs status ended with {status}").into());
    }
    Ok(())
}

/// Reads a window of the Zarr: with Python and zarr where they are, else with GDAL.
async fn read_zarr(zarr: &Path) -> Result<(), Failure> {
    const SCRIPT: &str = "
import sys, warnings
warnings.simplefilter('ignore')
import zarr
band = zarr.open(sys.argv[1], mode='r')['band']
window = band[1000:1004, 1000:1008]
print('  zarr', zarr.__version__, band.shape, band.dtype, 'rows 1000-1003, columns 1000-1007:')
print(window)
";
    if let Some(python) = std::env::var_os("CLMSFS_DEMO_PYTHON").filter(|python| !python.is_empty()) {
        let has_zarr = Program::new(&python).args(["-c", "import zarr"]).stderr(Stdio::null()).status().await;
        if has_zarr.is_ok_and(|status| status.success()) {
            let status =
                Program::new(&python).args(["-W", "ignore", "-c", SCRIPT]).arg(zarr).status().await?;
            return if status.success() { Ok(()) } else { Err(format!("python ended with {status}").into()) };
        }
    }
    shell(
        "gdal_translate",
        &[zarr, Path::new("/vsistdout/")],
        &["-q", "-of", "AAIGrid", "-srcwin", "1000", "1000", "8", "4"],
    )
    .await
}

/// Runs a program with its command line shown.
async fn shell(program: &str, paths: &[&Path], options: &[&str]) -> Result<(), Failure> {
    let shown: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
    output::say(format_args!("$ {program} {}", [options.join(" "), shown.join(" ")].join(" ").trim()));
    let status = Program::new(program).args(options).args(paths).status().await;
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{program} ended with {status}").into()),
        Err(error) => Err(format!("{program}: {error}; install gdal-bin").into()),
    }
}

/// `gdalinfo` without the many lines of the coordinate system's definition.
async fn gdalinfo(tif: &Path) -> Result<(), Failure> {
    output::say(format_args!("$ gdalinfo {}", tif.display()));
    let output = Program::new("gdalinfo")
        .args(["-nomd", "-norat", "-noct"])
        .arg(tif)
        .stderr(Stdio::inherit())
        .output()
        .await;
    let output = output.map_err(|error| format!("gdalinfo: {error}; install gdal-bin"))?;
    if !output.status.success() {
        return Err(format!("gdalinfo ended with {}", output.status).into());
    }
    let text = String::from_utf8_lossy(&output.stdout);
    for line in text.lines().filter(|line| !line.starts_with("    ") && !line.starts_with("Data axis")) {
        output::say(format_args!("  {line}"));
    }
    Ok(())
}

/// Shows how far the fetch of `product` is while `work` runs: a bar on a terminal, else a line for every state.
async fn watched(
    control: &Control,
    product: &str,
    work: impl Future<Output = Result<(), Failure>>,
) -> Result<(), Failure> {
    let bars = Bars::new();
    let bar = bars.add(product);
    let ids = Ids { ids: vec![product.to_owned()], tasks: Vec::new() };
    let mut last = None;
    tokio::pin!(work);
    loop {
        tokio::select! {
            ended = &mut work => {
                bar.finish_and_clear();
                return ended;
            }
            () = tokio::time::sleep(LOOK) => {
                let lines: Vec<ProductLine> = control.post("/progress", &ids).await?;
                let Some(line) = lines.first() else { continue };
                show(&bar, &line.progress);
                if !std::io::stderr().is_terminal() && last != Some(line.progress.state) {
                    output::say(format_args!("  {}", line.progress.state));
                    last = Some(line.progress.state);
                }
            }
        }
    }
}

fn heading(text: &str) {
    let (bold, plain) =
        if std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|t| t.is_empty()) {
            ("\x1b[1m", "\x1b[0m")
        } else {
            ("", "")
        };
    output::say(format_args!("\n{bold}== {text}{plain}"));
}
