//! The catalogue, searched and a page at a time.

use maud::{Markup, html};

use super::page::{Here, Page};
use super::search::{Asked, FORMATS, Filter, Found, KINDS, STATES, Touched, find};
use super::site::Site;
use super::words::{count, dataset_address, day, grouped, product_address, shown};
use crate::vfs::Vfs;

/// `/datasets`.
pub(super) fn page(site: &Site, vfs: &Vfs, asked: &Asked) -> Markup {
    let catalog = vfs.catalog();
    let filter = Filter::of(asked);
    let touched = Touched::now(vfs.engine());
    let found = find(&catalog, vfs.engine(), &filter, &touched, asked.from);
    let body = html! {
        h1 { "Datasets" }
        (form(asked))
        div #results { (results(asked, &filter, &found, &touched)) }
    };
    Page { title: "Datasets", here: Here::Datasets, view: None, told: None, body }.framed(site)
}

fn choice(name: &str, label: &str, any: &str, chosen: &str, choices: &[(&str, &str)]) -> Markup {
    html! {
        div.field {
            label for={ "f-" (name) } { (label) }
            select id={ "f-" (name) } name=(name) {
                option value="" { (any) }
                @for (value, words) in choices {
                    option value=(value) selected[*value == chosen] { (words) }
                }
            }
        }
    }
}

fn form(asked: &Asked) -> Markup {
    html! {
        form.search #search method="get" action="/datasets" role="search" {
            div.field.words {
                label for="f-q" { "Words in name and title" }
                input #f-q type="search" name="q" value=(asked.q) autocomplete="off";
            }
            (choice("state", "State", "any", &asked.state, &STATES))
            (choice("kind", "Kind", "any", &asked.kind, &KINDS))
            (choice("format", "Format", "any", &asked.format, &FORMATS))
            div.field.check {
                input #f-products type="checkbox" name="products" value="1" checked[!asked.products.is_empty()];
                label for="f-products" { "search products' names, too" }
            }
            button { "Search" }
        }
    }
}

/// How much was found, in a sentence.
fn sentence(found: &Found<'_>) -> String {
    let shown = found.rows.len();
    match found.total {
        Some((0, _)) => "No dataset has all these words in its name or title.".to_owned(),
        Some((total, before)) => format!(
            "{}, {} to {} shown.",
            count(total, "dataset", "datasets"),
            grouped((before + 1).min(total)),
            grouped(before + shown)
        ),
        None if found.next.is_some() => {
            format!(
                "{} so far; the search has not seen all of the catalogue yet.",
                count(shown, "dataset", "datasets")
            )
        }
        None if shown == 0 => "No further dataset has such products.".to_owned(),
        None => format!("{}; that is all from here on.", count(shown, "dataset", "datasets")),
    }
}

fn results(asked: &Asked, filter: &Filter, found: &Found<'_>, touched: &Touched) -> Markup {
    let among_products = Asked { products: "1".to_owned(), ..asked.clone() };
    html! {
        p.found data-say=(sentence(found)) {
            (sentence(found))
            @if found.rows.is_empty() && !filter.needs_products() && !asked.q.is_empty() {
                " " a href={ "/datasets?" (among_products.query(0)) } { "Look among the names of products" }
            }
        }
        @if !found.rows.is_empty() { (table(found, touched)) }
        nav.pages aria-label="Parts of the list" {
            @if asked.from > 0 { a href={ "/datasets?" (asked.query(0)) } { "First" } }
            @if let Some(next) = found.next {
                a href={ "/datasets?" (asked.query(next)) } rel="next" {
                    @if found.total.is_some() { "Next" } @else { "Search on" }
                }
            }
        }
    }
}

fn table(found: &Found<'_>, touched: &Touched) -> Markup {
    html! {
        table.catalogue {
            caption.heard { "Datasets" }
            thead {
                tr {
                    th scope="col" { "Dataset" }
                    th.number scope="col" { "Products" }
                    th scope="col" { "Here" }
                    th.wide scope="col" { "Published" }
                }
            }
            tbody {
                @for row in &found.rows {
                    @let dataset = row.dataset;
                    tr {
                        th scope="row" {
                            a href=(dataset_address(dataset.name().as_str())) {
                                (if dataset.title().is_empty() { dataset.name().to_string() } else { shown(dataset.title()) })
                            }
                            span.detail { (dataset.name()) }
                            @if let Some(fitting) = row.fitting {
                                ul.fitting {
                                    @for product in &row.named {
                                        li { a href=(product_address(&format!("{}/{}", dataset.name(), product.name()))) { (product.name()) } }
                                    }
                                    @if fitting > row.named.len() { li { "and " (grouped(fitting - row.named.len())) " more" } }
                                }
                            }
                        }
                        td.number {
                            @if let Some(fitting) = row.fitting { (grouped(fitting)) " of " }
                            (grouped(dataset.product_count()))
                        }
                        td { (here(touched.counts(dataset))) }
                        td.wide { (day(dataset.published())) }
                    }
                }
            }
        }
    }
}

/// How many products of a dataset are not cold.
pub(super) fn here([ready, under_way, failed]: [usize; 3]) -> Markup {
    html! {
        @if ready > 0 { span.mark.ready { (ready) " ready" } " " }
        @if under_way > 0 { span.mark.running { (under_way) " under way" } " " }
        @if failed > 0 { span.mark.failed { (failed) " failed" } }
        @if ready + under_way + failed == 0 { span.quiet { "–" } }
    }
}
