//! `clmsfs config show`.

use clap::ArgMatches;
use serde_json::json;

use crate::cli::{Failure, output, settings, wants_json};

pub(super) fn run(arguments: &ArgMatches) -> Result<(), Failure> {
    let resolved = settings(arguments)?;
    if wants_json(arguments) {
        let rows: Vec<_> = resolved
            .rows(false)
            .into_iter()
            .map(|row| json!({"name": row.name, "value": row.value, "source": row.source.to_string()}))
            .collect();
        println!("{}", output::json(&rows)?);
        return Ok(());
    }
    for (index, file) in resolved.files.iter().enumerate() {
        let more = if index > 0 { ", which counts more" } else { "" };
        println!("# read {}{more}", file.display());
    }
    if resolved.files.is_empty() {
        println!("# no configuration file was found");
    }
    print!("{}", resolved.to_toml(false));
    Ok(())
}
