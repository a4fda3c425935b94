//! The table of `docs/FORMATS.md`: kinds by tools.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::Kind;
use crate::findings::Findings;
use crate::known::{self, KNOWN};
use crate::tools::{MEASURED_GDAL, TOOLS, Told, Tool, Tools};

const BEGIN: &str = "<!-- interop: begin -->\n";
const END: &str = "<!-- interop: end -->\n";

/// Cells by row and column.
type Cells = BTreeMap<(String, String), String>;

/// Writes the table when `CLMSFS_WRITE_DOCS` is set, else compares what was found here with what is written.
pub(crate) fn compare_or_write(kinds: &[Kind], tools: &Tools, findings: &Findings) {
    let found = cells(kinds, tools, findings);
    let path = path();
    let document = std::fs::read_to_string(&path).unwrap();
    if std::env::var_os("CLMSFS_WRITE_DOCS").is_some() {
        let rows: Vec<&str> = kinds.iter().map(|kind| kind.title.as_str()).collect();
        assert!(
            kinds.iter().any(|kind| kind.real),
            "the table also shows the real packages: set CLMSFS_REAL_DATA"
        );
        assert!(tools.measured_gdal(), "the table is about GDAL {MEASURED_GDAL:?}, here is {:?}", tools.gdal);
        assert_eq!(tools.present.len(), TOOLS.len(), "the table shows all tools: 'make interop-qgis' first");
        let (before, rest) = document.split_once(BEGIN).unwrap();
        let (_, after) = rest.split_once(END).unwrap();
        std::fs::write(&path, format!("{before}{BEGIN}{}{END}{after}", render(&rows, &found))).unwrap();
        return;
    }
    let written = parse(&document);
    let stale: Vec<String> = found
        .iter()
        .filter(|(place, _)| compared(&place.1, tools))
        .filter_map(|(place, cell)| {
            let there = written.get(place);
            (there != Some(cell)).then(|| format!("{place:?}: {there:?} is '{cell}'"))
        })
        .collect();
    assert!(
        stale.is_empty(),
        "docs/FORMATS.md is out of date: CLMSFS_WRITE_DOCS=1 cargo test --test interop\n{}",
        stale.join("\n")
    );
    // Rows of real packages may be missing here, others not.
    let titles: Vec<&str> = kinds.iter().map(|kind| kind.title.as_str()).collect();
    for (row, _) in written.keys() {
        assert!(
            titles.contains(&row.as_str()) || row.starts_with("real: "),
            "docs/FORMATS.md: no kind is '{row}'"
        );
    }
    if !tools.measured_gdal() {
        println!(
            "note: docs/FORMATS.md is about GDAL {MEASURED_GDAL:?}, here is {:?}: the columns of the system's tools are not compared",
            tools.gdal
        );
    }
}

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/FORMATS.md")
}

fn columns() -> Vec<&'static str> {
    let mut columns: Vec<&str> = TOOLS.iter().map(|tool| tool.column).collect();
    columns.dedup();
    columns
}

fn of_column(column: &str) -> impl Iterator<Item = &'static Tool> {
    TOOLS.iter().filter(move |tool| tool.column == column)
}

fn compared(column: &str, tools: &Tools) -> bool {
    tools.measured_gdal() || !of_column(column).any(|tool| tool.system_gdal)
}

/// What was found, for the columns of which all tools were run.
fn cells(kinds: &[Kind], tools: &Tools, findings: &Findings) -> Cells {
    let mut cells = Cells::new();
    for column in columns() {
        let is_present = |tool: &Tool| tools.present.iter().any(|present| present.name == tool.name);
        if !of_column(column).all(is_present) {
            continue;
        }
        let told: Vec<&Told> = of_column(column).flat_map(|tool| tool.lines).collect();
        for kind in kinds {
            let failed = findings.checks.iter().filter(|((of_kind, tool, _), reasons)| {
                *of_kind == kind.name && told.iter().any(|told| told.name == tool) && !reasons.is_empty()
            });
            let mut reasons: Vec<String> = failed
                .filter_map(|((kind, tool, check), _)| {
                    let known = known::of(kind, tool, check, tools.gdal)?;
                    Some(format!("{}[{}](#{})", view(tool), known.name, known.name.replace(' ', "-")))
                })
                .collect();
            reasons.sort_unstable();
            reasons.dedup();
            let cell = if !told.iter().any(|told| kind.data.contains(&told.about)) {
                // A reader of grids has nothing to say of features, nor the other way round.
                String::from("–")
            } else if reasons.is_empty() {
                String::from("pass")
            } else {
                reasons.join(", ")
            };
            cells.insert((kind.title.clone(), column.to_owned()), cell);
        }
    }
    cells
}

/// Which file of the product a line is about, where a tool reads several: `gdal-zarr` is about the `.zarr`.
fn view(line: &str) -> &'static str {
    match line.rsplit_once('-') {
        Some((_, "tif")) => "`.tif`: ",
        Some((_, "zarr")) => "`.zarr`: ",
        _ => "",
    }
}

fn render(rows: &[&str], cells: &Cells) -> String {
    let columns = columns();
    let mut text = String::from(
        "\n<!-- Written by: CLMSFS_WRITE_DOCS=1 cargo test --test interop. Do not edit this part. -->\n\n",
    );
    text.push_str(&format!("| package | {} |\n", columns.join(" | ")));
    text.push_str(&format!("|---|{}\n", "---|".repeat(columns.len())));
    for row in rows {
        let line: Vec<&str> =
            columns.iter().map(|column| cells[&((*row).to_owned(), (*column).to_owned())].as_str()).collect();
        text.push_str(&format!("| {row} | {} |\n", line.join(" | ")));
    }
    text.push_str("\nThe reasons that are not \"pass\":\n");
    for known in KNOWN {
        text.push_str(&format!("\n#### {}\n\n{}\n", known.name, known.explanation));
    }
    text.push('\n');
    text
}

/// The cells of the written table.
fn parse(document: &str) -> Cells {
    let Some((_, rest)) = document.split_once(BEGIN) else { panic!("docs/FORMATS.md has no line {BEGIN}") };
    let (text, _) = rest.split_once(END).unwrap();
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    let header: Vec<&str> = lines.next().unwrap_or_default().split(" | ").collect();
    let mut cells = Cells::new();
    for line in lines {
        let parts: Vec<&str> = line.split(" | ").collect();
        for (column, cell) in header.iter().zip(&parts).skip(1) {
            cells.insert((parts[0].to_owned(), (*column).to_owned()), (*cell).to_owned());
        }
    }
    cells
}

#[test]
fn a_written_table_reads_back() {
    let mut cells = Cells::new();
    for (number, column) in columns().into_iter().enumerate() {
        cells.insert(("a row".into(), column.into()), format!("cell {number}"));
        cells.insert(("real: b".into(), column.into()), String::from("pass"));
    }
    let document =
        format!("text | with bars |\n\n{BEGIN}{}{END}more\n", render(&["a row", "real: b"], &cells));
    assert_eq!(parse(&document), cells);
}
