//! Prometheus' text format 0.0.4.

use std::borrow::Cow;
use std::fmt::Write;

use super::metric::{Metric, Samples, Value};
use crate::text::printable;

/// Adds a metric with its samples. One whose value is not known now is left out.
pub(super) fn write(metric: &Metric, samples: &Samples, text: &mut String) {
    if *samples == Samples::Unknown {
        return;
    }
    let name = metric.name;
    let _ = writeln!(text, "# HELP {name} {}", escaped(metric.help, false));
    let _ = writeln!(text, "# TYPE {name} {}", metric.kind.word());
    match samples {
        Samples::Unknown => {}
        Samples::One(value) => line(text, name, "", &[], *value),
        Samples::Labelled(samples) => {
            for (values, value) in samples {
                let labels: Vec<_> = metric
                    .labels
                    .iter()
                    .zip(values)
                    .map(|(label, value)| (label.name, Cow::clone(value)))
                    .collect();
                line(text, name, "", &labels, *value);
            }
        }
        Samples::Classes(classes) => {
            for (bound, count) in &classes.up_to {
                line(
                    text,
                    name,
                    "_bucket",
                    &[("le", number(Value::Real(*bound)).into())],
                    Value::Whole(*count),
                );
            }
            let all = classes.up_to.last().map_or(0, |(_, count)| *count);
            line(text, name, "_sum", &[], Value::Real(classes.sum));
            line(text, name, "_count", &[], Value::Whole(all));
        }
    }
}

fn line(text: &mut String, name: &str, suffix: &str, labels: &[(&str, Cow<'_, str>)], value: Value) {
    let labels: Vec<_> = labels
        .iter()
        .map(|(name, value)| format!("{name}=\"{}\"", escaped(&printable(value), true)))
        .collect();
    let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
    let _ = writeln!(text, "{name}{suffix}{labels} {}", number(value));
}

/// A number as the format wants it.
fn number(value: Value) -> String {
    match value {
        Value::Whole(value) => value.to_string(),
        Value::Real(value) if value == f64::INFINITY => "+Inf".to_owned(),
        Value::Real(value) => value.to_string(),
    }
}

/// Backslashes and line ends would end a help text, quotes a label value.
fn escaped(text: &str, quotes: bool) -> String {
    let text = text.replace('\\', "\\\\").replace('\n', "\\n");
    if quotes { text.replace('"', "\\\"") } else { text }
}

#[cfg(test)]
mod tests {
    use super::super::metric::{Dimension, Kind, Stability, Unit, Values};
    use super::*;
    use crate::tally::Classes;

    fn metric(kind: Kind, labels: &'static [Dimension]) -> Metric {
        let (unit, stability, help) = (Unit::Number, Stability::Stable, "One\\two\nthree \"four\".");
        Metric { name: "x", kind, unit, stability, help, labels, read: |_| Samples::Unknown }
    }

    fn told(metric: &Metric, samples: &Samples) -> String {
        let mut text = String::new();
        write(metric, samples, &mut text);
        text
    }

    const HEAD: &str = "# HELP x One\\\\two\\nthree \"four\".\n# TYPE x ";

    #[test]
    fn labels_cannot_break_out() {
        const LABELS: &[Dimension] = &[Dimension { name: "of", values: Values::Fixed("anything") }];
        let samples = Samples::Labelled(vec![(vec!["a\"b\\c\u{1b}".into()], Value::Whole(u64::MAX))]);
        let wanted = format!("{HEAD}gauge\nx{{of=\"a\\\"b\\\\c\u{fffd}\"}} 18446744073709551615\n");
        assert_eq!(told(&metric(Kind::Gauge, LABELS), &samples), wanted);
    }

    #[test]
    fn a_histogram_has_its_sum_and_count() {
        let classes = Classes { up_to: vec![(0.5, 1), (10.0, 3), (f64::INFINITY, 4)], sum: 20.25 };
        let wanted = format!(
            "{HEAD}histogram\nx_bucket{{le=\"0.5\"}} 1\nx_bucket{{le=\"10\"}} 3\nx_bucket{{le=\"+Inf\"}} 4\nx_sum 20.25\nx_count 4\n"
        );
        assert_eq!(told(&metric(Kind::Histogram, &[]), &Samples::Classes(classes)), wanted);
    }

    #[test]
    fn what_is_not_known_is_not_there() {
        assert_eq!(told(&metric(Kind::Gauge, &[]), &Samples::Unknown), "");
    }
}
