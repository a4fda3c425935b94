//! Where a dataset or product is, on a simple map drawn from a file of ours.

use maud::{Markup, html};
use serde_json::Value;

/// Coasts of the world from Natural Earth (1:110m, public domain), in degrees, as an SVG path. `scripts/web-map` makes it.
const WORLD: &str = include_str!("assets/world.path");
/// The same of Europe, in more detail (1:50m).
const EUROPE: &str = include_str!("assets/europe.path");

/// An area in degrees: west, south, east, north.
type Box4 = [f64; 4];

/// What the map of Europe shows.
const EUROPE_BOX: Box4 = [-32.0, 27.0, 46.0, 72.5];
/// Width of a degree of longitude there, in degrees of latitude: that of 52° N.
const EUROPE_SCALE: f64 = 0.62;
const WORLD_BOX: Box4 = [-180.0, -60.0, 180.0, 85.0];
/// An outline that takes less of the map than this part of its width gets a ring around it.
const SMALL: f64 = 0.02;

/// Where something is, in degrees.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Outline {
    rings: Vec<Vec<[f64; 2]>>,
}

impl Outline {
    /// From boxes: west, south, east, north. One that crosses the date line has two parts.
    pub(super) fn of_boxes(boxes: impl IntoIterator<Item = Box4>) -> Self {
        let ring = |[west, south, east, north]: Box4| {
            vec![[west, south], [east, south], [east, north], [west, north], [west, south]]
        };
        let parts = boxes.into_iter().flat_map(|[west, south, east, north]| {
            if west <= east {
                vec![[west, south, east, north]]
            } else {
                vec![[west, south, 180.0, north], [-180.0, south, east, north]]
            }
        });
        Self { rings: parts.map(ring).collect() }.sound()
    }

    /// From a STAC Item: its geometry, or its box where it has none.
    pub(super) fn of_item(item: &[u8]) -> Self {
        let Ok(item) = serde_json::from_slice::<Value>(item) else { return Self::default() };
        let geometry = &item["geometry"];
        let polygons = match geometry["type"].as_str() {
            Some("Polygon") => vec![&geometry["coordinates"]],
            Some("MultiPolygon") => geometry["coordinates"].as_array().into_iter().flatten().collect(),
            _ => Vec::new(),
        };
        let rings = polygons.iter().filter_map(|polygon| {
            let ring = polygon.as_array()?.first()?.as_array()?;
            Some(ring.iter().filter_map(|point| Some([point[0].as_f64()?, point[1].as_f64()?])).collect())
        });
        let outline = Self { rings: rings.collect() }.sound();
        if !outline.rings.is_empty() {
            return outline;
        }
        let sides: Vec<f64> =
            item["bbox"].as_array().into_iter().flatten().filter_map(Value::as_f64).collect();
        Self::of_boxes(Box4::try_from(sides))
    }

    /// Without what cannot be drawn.
    fn sound(mut self) -> Self {
        let on_earth = |point: &[f64; 2]| point[0].abs() <= 180.0 && point[1].abs() <= 90.0;
        self.rings.retain(|ring| ring.len() >= 3 && ring.iter().all(on_earth));
        self
    }

    /// The box around all of it.
    pub(super) fn around(&self) -> Option<Box4> {
        let mut points = self.rings.iter().flatten();
        let first = points.next()?;
        Some(points.fold([first[0], first[1], first[0], first[1]], |[w, s, e, n], [x, y]| {
            [w.min(*x), s.min(*y), e.max(*x), n.max(*y)]
        }))
    }

    /// `9.50° E to 10.30° E, 53.40° N to 54.10° N`.
    pub(super) fn in_words(&self) -> Option<String> {
        let [west, south, east, north] = self.around()?;
        let degrees = |value: f64, positive, negative| {
            format!("{:.2}° {}", value.abs(), if value < 0.0 { negative } else { positive })
        };
        Some(format!(
            "{} to {}, {} to {}",
            degrees(west, "E", "W"),
            degrees(east, "E", "W"),
            degrees(south, "N", "S"),
            degrees(north, "N", "S")
        ))
    }
}

/// A path through the rings.
fn path(rings: &[Vec<[f64; 2]>]) -> String {
    let mut text = String::new();
    for ring in rings {
        for (number, [x, y]) in ring.iter().enumerate() {
            text.push_str(&format!("{}{x:.3} {y:.3}", if number == 0 { 'M' } else { 'L' }));
        }
        text.push('Z');
    }
    text
}

fn holds(outer: Box4, inner: Box4) -> bool {
    outer[0] <= inner[0] && outer[1] <= inner[1] && outer[2] >= inner[2] && outer[3] >= inner[3]
}

/// The map with an outline; nothing where it is not known.
pub(super) fn map(outline: &Outline) -> Markup {
    let (Some(around), Some(words)) = (outline.around(), outline.in_words()) else {
        return html! { p.quiet { "The catalogue does not say where it is." } };
    };
    let (land, shown, scale, name) = if holds(EUROPE_BOX, around) {
        (EUROPE, EUROPE_BOX, EUROPE_SCALE, "Europe")
    } else {
        (WORLD, WORLD_BOX, 1.0, "the world")
    };
    let [west, south, east, north] = shown;
    let view = format!("{} {} {} {}", west * scale, -north, (east - west) * scale, north - south);
    let across = f64::max((around[2] - around[0]) * scale, around[3] - around[1]);
    let radius = (east - west) * scale * SMALL;
    html! {
        figure.map {
            svg viewBox=(view) role="img" aria-label={ "Map of " (name) ", outlined: " (words) } {
                g transform={ "scale(" (scale) " -1)" } {
                    path.graticule d=(graticule(shown)) {}
                    path.land d=(land.trim()) {}
                    path.outline d=(path(&outline.rings)) {}
                }
                @if across < radius {
                    circle.outline
                        cx=((around[0] + around[2]) / 2.0 * scale)
                        cy=(-(around[1] + around[3]) / 2.0)
                        r=(radius) {}
                }
            }
            figcaption { (words) }
        }
    }
}

/// Lines every ten degrees, every thirty on the world.
fn graticule([west, south, east, north]: Box4) -> String {
    let step = if east - west > 180.0 { 30 } else { 10 };
    let lines = |from: f64, to: f64| (from as i32 / step..=to as i32 / step).map(move |line| line * step);
    let mut text = String::new();
    for line in lines(west, east) {
        text.push_str(&format!("M{line} {south}V{north}"));
    }
    for line in lines(south, north) {
        text.push_str(&format!("M{west} {line}H{east}"));
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_outline_is_drawn_where_it_is() {
        let hamburg = Outline::of_boxes([[9.8, 53.4, 10.3, 53.7]]);
        assert_eq!(hamburg.in_words().unwrap(), "9.80° E to 10.30° E, 53.40° N to 53.70° N");
        let drawn = map(&hamburg).into_string();
        assert!(drawn.contains("Map of Europe") && drawn.contains("M9.800 53.400L10.300 53.400"), "{drawn}");
        assert!(drawn.contains("<circle"), "too small to be seen without a ring");
        let sahara = map(&Outline::of_boxes([[-10.0, 10.0, 30.0, 30.0]])).into_string();
        assert!(sahara.contains("Map of the world") && !sahara.contains("<circle"));
    }

    #[test]
    fn items_tell_by_geometry_else_by_box_and_nonsense_draws_nothing() {
        let item = |text: &str| Outline::of_item(text.as_bytes()).around();
        let ring = "[[[1,2],[3,2],[3,4],[1,2]]]";
        assert_eq!(
            item(&format!(r#"{{"geometry":{{"type":"Polygon","coordinates":{ring}}},"bbox":[0,0,1,1]}}"#)),
            Some([1.0, 2.0, 3.0, 4.0])
        );
        assert_eq!(
            item(&format!(r#"{{"geometry":{{"type":"MultiPolygon","coordinates":[{ring}]}}}}"#)),
            Some([1.0, 2.0, 3.0, 4.0])
        );
        assert_eq!(item(r#"{"geometry":null,"bbox":[-5,-6,7,8]}"#), Some([-5.0, -6.0, 7.0, 8.0]));
        for nothing in [
            "",
            "{}",
            r#"{"bbox":[1]}"#,
            r#"{"bbox":[0,0,999,1]}"#,
            r#"{"geometry":{"type":"Polygon","coordinates":[[1]]}}"#,
        ] {
            assert_eq!(item(nothing), None, "{nothing}");
        }
        assert!(map(&Outline::default()).into_string().contains("does not say"));
    }

    #[test]
    fn a_box_over_the_date_line_has_two_parts() {
        assert_eq!(Outline::of_boxes([[170.0, -10.0, -170.0, 10.0]]).rings.len(), 2);
    }
}
