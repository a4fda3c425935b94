//! One dataset: what it is, where it is, its products a page at a time.

use maud::{Markup, html};
use serde::Deserialize;

use super::map::{Outline, map};
use super::page::{Here, Page, Problem};
use super::search::{Touched, words};
use super::site::Site;
use super::words::{count, dataset_address, day, grouped, mark, product_address, shown, size};
use crate::catalog::{Dataset, LICENCE_PAGE, Product};
use crate::vfs::Vfs;
use crate::vfs::tree::entry_key;

/// Products of one page.
const LINES: usize = 100;

/// The form of a dataset's page.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    q: String,
    from: usize,
}

/// `/datasets/NAME`.
pub(super) fn page(site: &Site, vfs: &Vfs, name: &str, asked: &Asked) -> Result<Markup, Problem> {
    let catalog = vfs.catalog();
    let dataset = catalog
        .dataset(name)
        .ok_or_else(|| Problem::missing(format!("there is no dataset '{name}' in the catalogue")))?;
    dataset.load().map_err(|error| Problem::local(error.to_string()))?;
    let title = shown(if dataset.title().is_empty() { name } else { dataset.title() });
    let [ready, under_way, failed] = Touched::now(vfs.engine()).counts(dataset);
    let body = html! {
        nav.crumbs aria-label="Way back" { a href="/datasets" { "Datasets" } }
        h1 { (title) }
        p { code { (dataset.name()) } " " (super::datasets::here([ready, under_way, failed])) }
        div.columns {
            div { (description(dataset)) (facts(dataset)) }
            (map(&outline(dataset)))
        }
        section aria-labelledby="h-products" {
            h2 #h-products { (count(dataset.product_count(), "product", "products")) }
            (products(vfs, dataset, asked))
        }
    };
    Ok(Page { title: &title, here: Here::Datasets, view: None, told: None, body }.framed(site))
}

/// Where a dataset says it is.
pub(super) fn outline(dataset: &Dataset) -> Outline {
    Outline::of_boxes(dataset.boxes().iter().map(|one| [one.west, one.south, one.east, one.north]))
}

fn description(dataset: &Dataset) -> Markup {
    html! {
        @for paragraph in dataset.description().lines().filter(|line| !line.trim().is_empty()) {
            p { (shown(paragraph)) }
        }
    }
}

fn facts(dataset: &Dataset) -> Markup {
    let period = dataset.period();
    let keywords: Vec<_> = dataset.keywords().map(shown).collect();
    html! {
        dl.facts {
            @if period.start.is_some() || period.end.is_some() {
                div {
                    dt { "Time" }
                    dd { (period.start.map_or_else(|| "?".to_owned(), day)) " to " (period.end.map_or_else(|| "now".to_owned(), day)) }
                }
            }
            div { dt { "Published" } dd { (day(dataset.published())) } }
            @if let Some(modified) = dataset.modified() { div { dt { "Edited" } dd { (day(modified)) } } }
            @if let Some(projection) = dataset.projection() { div { dt { "Projection" } dd { (shown(projection)) } } }
            div {
                dt { "Licence" }
                dd {
                    a href=(LICENCE_PAGE) rel="noopener noreferrer" { "Copernicus data policy" }
                    @if let Some(access) = dataset.access() { ". " (shown(access)) }
                }
            }
            @if !keywords.is_empty() { div { dt { "Keywords" } dd { (keywords.join(", ")) } } }
        }
    }
}

fn products(vfs: &Vfs, dataset: &Dataset, asked: &Asked) -> Markup {
    let wanted = words(&asked.q);
    let fits = |product: &Product<'_>| {
        let hay = product.name().to_lowercase();
        wanted.iter().all(|word| hay.contains(word.as_str()))
    };
    let total = dataset.products().filter(fits).count();
    let from = asked.from.min(total.saturating_sub(1)) / LINES * LINES;
    let to = (from + LINES).min(total);
    let address = dataset_address(dataset.name().as_str());
    let part = |from: usize| {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.append_pair("q", &asked.q).append_pair("from", &from.to_string());
        format!("{address}?{}", query.finish())
    };
    html! {
        @if dataset.product_count() > 10 {
            form.search #search method="get" action=(address) role="search" {
                div.field.words { label for="f-q" { "Words in the product's name" } input #f-q type="search" name="q" value=(asked.q) autocomplete="off"; }
                button { "Search" }
            }
        }
        div #results {
            @if total == 0 {
                p.quiet data-say="No such product." { "No product of this dataset has such a name." }
            } @else {
                p.found data-say={ (count(total, "product", "products")) " found" } { (grouped(from + 1)) " to " (grouped(to)) " of " (grouped(total)) }
                table.catalogue {
                    caption.heard { "Products" }
                    thead {
                        tr {
                            th scope="col" { "Product" }
                            th scope="col" { "State" }
                            th.number scope="col" { "Size" }
                            th.wide scope="col" { "Format" }
                            th.wide scope="col" { "Year" }
                            th.wide scope="col" { "Resolution" }
                        }
                    }
                    tbody { @for product in dataset.products().filter(fits).skip(from).take(LINES) { (line(vfs, product)) } }
                }
            }
            nav.pages aria-label="Parts of the table" {
                @if from > 0 { a href=(part(from - LINES)) rel="prev" { "Before" } }
                @if to < total { a href=(part(to)) rel="next" { "After" } }
            }
        }
    }
}

fn line(vfs: &Vfs, product: Product<'_>) -> Markup {
    let key = entry_key(product);
    let held = vfs.engine().inventory().size(&key);
    let text = |value: Option<&str>| value.map_or_else(|| "–".to_owned(), shown);
    html! {
        tr {
            th scope="row" {
                a href=(product_address(&format!("{}/{}", product.dataset().name(), product.name()))) { (product.name()) }
            }
            td {
                (mark(vfs.engine().product_state(&key)))
                @if vfs.engine().inventory().is_pinned(&key) { " " span.mark.pinned { "pinned" } }
            }
            td.number {
                @match (held, product.declared_size()) {
                    (Some(bytes), _) => { (size(bytes)) }
                    (None, Some(bytes)) => { span title="as the catalogue declares the package" { "≈ " (size(bytes)) } }
                    (None, None) => { "–" }
                }
            }
            td.wide { (text(product.format())) }
            td.wide { (text(product.year())) }
            td.wide { (text(product.resolution())) }
        }
    }
}
