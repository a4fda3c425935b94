//! What a product that is here holds: rasters, vector data, side files.

use maud::{Markup, html};

use super::commands;
use super::product::copyable;
use super::words::{count, day, grouped, shown, size};
use crate::store::entry::{Class, Codec, Crs, EntryMeta, RasterMeta};
use crate::view::{ServedVector, served_names, served_vectors};

/// Classes, layers and files that are listed of each.
const LISTED: usize = 60;

/// Its preview at the address `source`; nothing where it holds no raster.
pub(super) fn picture(meta: &EntryMeta, source: &str) -> Markup {
    html! {
        @if !meta.rasters.is_empty() {
            img.preview src=(source) alt={ "Preview of " (shown(&meta.product)) };
        }
    }
}

/// All of it; `folder` is the product's directory.
pub(super) fn all(meta: &EntryMeta, folder: &str) -> Markup {
    html! {
        @for (raster, name) in meta.rasters.iter().zip(served_names(meta)) {
            section { h2 { (shown(&name)) } (raster_facts(raster)) (copyable(&commands::raster(&format!("{folder}/{name}")))) (classes(&raster.classes)) }
        }
        @for vector in served_vectors(meta).iter().take(LISTED) {
            section { h2 { (shown(&vector.path())) } (layers(vector)) (copyable(&commands::vector(&format!("{folder}/{}", vector.name), vector.meta.format))) }
        }
        (side_files(meta))
    }
}

fn crs_in_words(crs: &Crs) -> String {
    let name = crs.wkt2.split('"').nth(1).unwrap_or_default();
    let name = shown(name);
    crs.epsg.map_or(name.clone(), |code| {
        if name.is_empty() { format!("EPSG:{code}") } else { format!("EPSG:{code}, {name}") }
    })
}

fn raster_facts(raster: &RasterMeta) -> Markup {
    let bands = raster.bands.len();
    let row = |name: &str, value: Option<String>| {
        html! { @if let Some(value) = value { div { dt { (name) } dd { (value) } } } }
    };
    let unit = raster.crs.as_ref().map_or("", |crs| if crs.projected { " m" } else { "°" });
    let codec = match raster.codec {
        Codec::Zstd { .. } => "zstd",
        Codec::Zlib { .. } => "deflate",
    };
    let times = raster.times.first().zip(raster.times.last());
    let band = raster.bands.first();
    html! {
        dl.facts {
            (row("Shape", Some(format!("{} × {} pixels, {}", grouped(raster.width as usize), grouped(raster.height as usize), count(bands, "band", "bands")))))
            (row("Type", Some(format!("{}, {codec}", raster.pixel.zarr()))))
            (row("CRS", raster.crs.as_ref().map(crs_in_words)))
            (row("Pixel size", Some(format!("{}{unit}", raster.geotransform[1].abs()))))
            (row("Nodata", raster.nodata.map(|value| value.0.to_string())))
            (row("Dates", times.map(|(first, last)| format!("{}, {} to {}", raster.times.len(), day(*first), day(*last)))))
            (row("Scale, offset", band.map(|band| (band.scale.unwrap_or(1.0), band.offset.unwrap_or(0.0))).filter(|pair| *pair != (1.0, 0.0)).map(|(scale, offset)| format!("{scale}, {offset}"))))
            (row("Unit", band.map(|band| shown(&band.unit)).filter(|unit| !unit.is_empty())))
            (row("Values", band.and_then(|band| band.statistics).map(|all| {
                format!("{:.6} to {:.6}, mean {:.4}, {:.1} % valid", Short(all.minimum), Short(all.maximum), all.mean, all.valid_percent)
            })))
            (row("Overviews", (!raster.overviews.is_empty()).then(|| {
                let factors: Vec<_> = raster.overviews.iter().map(|level| level.factor.to_string()).collect();
                format!("1/{}", factors.join(", 1/"))
            })))
        }
    }
}

/// A number with the digits it needs, and no more than asked for.
struct Short(f64);

impl std::fmt::Display for Short {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = format!("{:.*}", f.precision().unwrap_or(6), self.0);
        f.write_str(if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text })
    }
}

fn classes(classes: &[Class]) -> Markup {
    let colour =
        |class: &Class| class.color.map(|[red, green, blue, _]| format!("#{red:02x}{green:02x}{blue:02x}"));
    html! {
        @if !classes.is_empty() {
            details open[classes.len() <= 20] {
                summary { (count(classes.len(), "class", "classes")) }
                ul.classes {
                    @for class in classes.iter().take(LISTED) {
                        li {
                            @if let Some(colour) = colour(class) {
                                svg.colour viewBox="0 0 10 10" aria-hidden="true" { rect width="10" height="10" fill=(colour) {} }
                            }
                            b { (class.value) } " " (shown(&class.name))
                        }
                    }
                    @if classes.len() > LISTED { li { "and " (classes.len() - LISTED) " more: see item.json" } }
                }
            }
        }
    }
}

fn layers(vector: &ServedVector<'_>) -> Markup {
    html! {
        @if vector.meta.layers.is_empty() {
            p.quiet { "Its layers could not be read; the files are served as they are." }
        } @else {
            table.layers {
                caption.heard { "Layers" }
                thead { tr { th scope="col" { "Layer" } th scope="col" { "Geometry" } th.number scope="col" { "Features" } th.wide scope="col" { "CRS" } } }
                tbody {
                    @for layer in vector.meta.layers.iter().take(LISTED) {
                        tr {
                            th scope="row" { (shown(&layer.name)) }
                            td { (layer.geometry.as_deref().map_or_else(|| "none".to_owned(), shown)) }
                            td.number { (layer.features.map_or_else(|| "–".to_owned(), |number| grouped(number as usize))) }
                            td.wide { (layer.crs.as_ref().map_or_else(|| "–".to_owned(), crs_in_words)) }
                        }
                    }
                }
            }
        }
    }
}

fn side_files(meta: &EntryMeta) -> Markup {
    let bytes = meta.originals.iter().map(|file| file.size).sum::<u64>();
    html! {
        @if !meta.originals.is_empty() {
            details {
                summary { (count(meta.originals.len(), "file", "files")) " of the package below " code { "original/" } ", " (size(bytes)) }
                ul.files {
                    @for file in meta.originals.iter().take(LISTED) { li { code { (shown(&file.path)) } " " (size(file.size)) } }
                    @if meta.originals.len() > LISTED { li { "and " (meta.originals.len() - LISTED) " more" } }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::fixture;

    #[test]
    fn numbers_have_the_digits_they_need() {
        assert_eq!(format!("{:.6}", Short(44.0)), "44");
        assert_eq!(format!("{:.6}", Short(-0.5)), "-0.5");
        assert_eq!(format!("{:.0}", Short(100.0)), "100");
    }

    #[test]
    fn names_out_of_packages_are_text() {
        let mut raster = fixture::classes("r", 10, 10);
        raster.classes =
            vec![Class { value: 1, name: "<script>\u{202e}\n".to_owned(), color: Some([1, 2, 255, 0]) }];
        let meta = fixture::meta("p<b>", vec![raster]);
        let shown = all(&meta, "/m/d/p").into_string() + &picture(&meta, "/preview/d/p.png").into_string();
        assert!(shown.contains("&lt;script&gt;\u{fffd} ") && !shown.contains("<script>"), "{shown}");
        assert!(shown.contains("#0102ff") && !shown.contains("<b>p") && !shown.contains("p<b>"), "{shown}");
    }
}
