//! `clmsfs ls [DATASET]`.

use std::process::ExitCode;

use clap::{Arg, ArgMatches, Command};

use super::output::{describe, size, table};
use super::{Ending, control, from_the_root, json_flag, mount_flag, wants_json};
use crate::control::server::{DatasetLine, ProductLine};

pub(super) fn command() -> Command {
    Command::new("ls")
        .about("List datasets, or the products of one")
        .arg(Arg::new("dataset").value_name("DATASET").help("Directory name of a dataset"))
        .arg(mount_flag())
        .arg(json_flag())
}

pub(super) async fn run(arguments: &ArgMatches) -> Ending {
    let control = control(arguments)?;
    match arguments.get_one::<String>("dataset") {
        Some(dataset) => {
            let dataset = from_the_root(dataset.clone(), control.mountpoint());
            let lines: Vec<ProductLine> = control.get("/products", &[("text", &dataset)]).await?;
            print_products(&lines, wants_json(arguments))?;
        }
        None => {
            let lines: Vec<DatasetLine> = control.get("/datasets", &[]).await?;
            if wants_json(arguments) {
                println!("{}", super::output::json(&lines)?);
            } else {
                let rows: Vec<_> = lines
                    .into_iter()
                    .map(|line| vec![line.name, line.products.to_string(), line.title])
                    .collect();
                table(&["DATASET", "PRODUCTS", "TITLE"], &rows, 2);
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A table of products.
pub(super) fn print_products(lines: &[ProductLine], json: bool) -> Result<(), super::Failure> {
    if json {
        println!("{}", super::output::json(lines)?);
        return Ok(());
    }
    let rows: Vec<_> = lines
        .iter()
        .map(|line| {
            vec![
                line.path.clone(),
                describe(&line.progress),
                line.declared_size.map(size).unwrap_or_default(),
            ]
        })
        .collect();
    table(&["PRODUCT", "STATE", "SIZE"], &rows, 0);
    Ok(())
}
