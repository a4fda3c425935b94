//! Metrics for Prometheus, text format 0.0.4.
//!
//! * [`definitions`] — every metric in one table: name, kind, unit, stability, help, labels, and where its value comes from.
//!   There is no other way to write one, and `docs/METRICS.md` is made from the same table ([`document`]).
//! * [`metric`] — what a row of the table is; [`reading`], [`process`] — what the values are taken from.
//! * [`exposition`] — the text.

mod definitions;
mod document;
mod exposition;
mod metric;
mod process;
mod reading;

pub use document::metrics_markdown;

use super::Mounted;

/// Content type of [`text`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All metrics of a mount; `None` while it is being put together.
pub fn text(mounted: &Mounted) -> Option<String> {
    let reading = reading::Reading::of(mounted)?;
    let mut text = String::new();
    for metric in definitions::METRICS {
        exposition::write(metric, &(metric.read)(&reading), &mut text);
    }
    Some(text)
}
