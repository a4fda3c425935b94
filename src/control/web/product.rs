//! One product: its state, its buttons, what it holds, and what to type to open it.

use maud::{Markup, html};

use super::super::actions::Action;
use super::act::{self, Button};
use super::commands::{self, Command};
use super::contents;
use super::dataset::outline;
use super::jobs::{bar, reason};
use super::map::{Outline, map};
use super::page::{Here, Page, Problem, Region};
use super::site::Site;
use super::view::View;
use super::words::{announcement, dataset_address, describe, mark, segment, shown, size};
use crate::catalog::{Catalog, Kind, Product};
use crate::fetch::state::{ProductState, Progress};
use crate::store::vector::VectorFormat;
use crate::vfs::Vfs;
use crate::vfs::tree::{entry_key, is_served};

/// The way of a fetch, as it is drawn.
const STEPS: [ProductState; 6] = [
    ProductState::Ordered,
    ProductState::Queued,
    ProductState::Running,
    ProductState::Downloading,
    ProductState::Converting,
    ProductState::Ready,
];

fn find<'a>(catalog: &'a Catalog, dataset: &str, name: &str) -> Result<Product<'a>, Problem> {
    let found = catalog.dataset(dataset).map(|dataset| {
        dataset.load().map_err(|error| Problem::local(error.to_string()))?;
        Ok(dataset.product(name))
    });
    let missing = || Problem::missing(format!("there is no product '{dataset}/{name}' in the catalogue"));
    found.transpose()?.flatten().ok_or_else(missing)
}

fn id(product: Product<'_>) -> String {
    format!("{}/{}", product.dataset().name(), product.name())
}

/// State and bar.
fn state(product: Product<'_>, progress: &Progress, renewal: Option<&Progress>) -> Markup {
    html! {
        p.heard data-say=(announcement(renewal.unwrap_or(progress))) {}
        p.what { (mark(progress.state)) " " (describe(progress)) }
        @let going = renewal.unwrap_or(progress);
        @if renewal.is_some() { p.what { "A newer edition is under way: " (mark(going.state)) " " (describe(going)) } }
        @if going.state.is_under_way() { (steps(going.state)) (bar(going)) }
        @if let Some(task) = &going.task { p.detail { "Task " code { (shown(task)) } " of the service" } }
        (reason(progress, false))
        @if !is_served(product) {
            p.problem { "Data of this format is not served by this release: it cannot be fetched." }
        }
    }
}

fn steps(state: ProductState) -> Markup {
    // unpacking and converting are one step of the way
    let state = if state == ProductState::Extracting { ProductState::Converting } else { state };
    let now = STEPS.iter().position(|step| *step == state);
    html! {
        ol.steps {
            @for (number, step) in STEPS.iter().enumerate() {
                li.done[now.is_some_and(|now| number < now)] aria-current=[(Some(number) == now).then_some("step")] {
                    (step.as_str())
                }
            }
        }
    }
}

/// The buttons that make sense in a state.
fn choices(progress: &Progress, renewing: bool, pinned: bool, served: bool) -> Vec<Button> {
    let mut buttons: Vec<Button> = match progress.state {
        _ if renewing => vec![(Action::Cancel, "Cancel the fetch")],
        ProductState::Cold | ProductState::Failed if !served => vec![],
        ProductState::Cold => vec![(Action::Fetch, "Fetch")],
        ProductState::Failed => vec![(Action::Fetch, "Fetch again")],
        ProductState::Ready => vec![(Action::Refresh, "Fetch a newer edition")],
        _ => vec![(Action::Cancel, "Cancel the fetch")],
    };
    buttons.push(if pinned { (Action::Unpin, "Unpin") } else { (Action::Pin, "Pin") });
    if progress.state == ProductState::Ready && !pinned {
        buttons.push((Action::Evict, "Evict from the cache"));
    }
    buttons
}

/// The lines to copy.
pub(super) fn copyable(commands: &[Command]) -> Markup {
    html! {
        dl.commands {
            @for command in commands {
                div { dt { (command.program) } dd { code.copy { (shown(&command.text)) } } }
            }
        }
    }
}

/// What would open a product that is not here yet.
fn expected(product: Product<'_>, folder: &str) -> Markup {
    let stem = format!("{folder}/{}", product.name());
    let mut lines = Vec::new();
    if product.kind() != Kind::Vector {
        lines.extend(commands::raster(&stem));
    }
    // one format is enough as long as nobody knows
    let formats: &[VectorFormat] = product.expected_vectors();
    if product.kind() == Kind::Vector {
        lines.extend(formats.iter().take(1).flat_map(|format| commands::vector(&stem, *format)));
    }
    html! {
        @if !lines.is_empty() {
            p.quiet { "It is not here yet: opening one of these files orders and fetches it, and waits until it is here." }
            (copyable(&lines))
        }
    }
}

fn facts(product: Product<'_>, held: Option<u64>) -> Markup {
    let row = |name: &str, value: Option<String>| {
        html! { @if let Some(value) = value { div { dt { (name) } dd { (value) } } } }
    };
    html! {
        dl.facts {
            (row("In the cache", held.map(size)))
            (row("Package", product.declared_size().map(|bytes| format!("{}, as the catalogue declares", size(bytes)))))
            (row("Format", product.format().map(shown)))
            (row("Year", product.year().map(shown)))
            (row("Resolution", product.resolution().map(shown)))
            (row("Name at the service", Some(shown(product.raw_name())).filter(|raw| raw != product.name())))
        }
    }
}

/// What changes on a product's page.
pub(super) fn regions(site: &Site, vfs: &Vfs, dataset: &str, name: &str) -> Result<[Region; 3], Problem> {
    let catalog = vfs.catalog();
    let product = find(&catalog, dataset, name)?;
    let (key, engine) = (entry_key(product), vfs.engine());
    let progress = engine.progress(&key);
    let is_ready = progress.state == ProductState::Ready;
    let renewal = engine.under_way(&key).filter(|_| is_ready);
    let pinned = engine.inventory().is_pinned(&key);
    let buttons = choices(&progress, renewal.is_some(), pinned, is_served(product));
    let local = |error: crate::vfs::error::VfsError| Problem::local(error.to_string());
    let folder = site.mounted.mountpoint.join(dataset).join(name).display().to_string();
    // what a look finds may be gone or come in the meantime: each part says what it has found
    let source = format!("/preview/{}/{}.png", segment(dataset), segment(name));
    let look = vfs.look(product, |meta| (contents::all(meta, &folder), contents::picture(meta, &source)));
    let (held, picture) = look.map_err(local)?.unzip();
    let place = match held {
        Some(_) => Outline::of_item(&vfs.description(product).map_err(local)?),
        None => outline(product.dataset()),
    };
    let content = html! {
        div.columns {
            div {
                h2 { "What it is" }
                (facts(product, engine.inventory().size(&key)))
                @match &held {
                    Some(held) => (held),
                    None => { h2 { "Open it" } (expected(product, &folder)) }
                }
            }
            div { @if let Some(picture) = picture { (picture) } (map(&place)) }
        }
    };
    Ok([
        Region { name: "state", html: state(product, &progress, renewal.as_ref()) },
        Region {
            name: "buttons",
            html: html! {
                (act::buttons(site, &id(product), None, "product", &buttons))
                @if pinned { p.detail { "Pinned: it is never evicted." } }
            },
        },
        Region { name: "content", html: content },
    ])
}

/// `/datasets/DATASET/PRODUCT`.
pub(super) fn page(
    site: &Site,
    vfs: &Vfs,
    dataset: &str,
    name: &str,
    told: Option<&'static str>,
) -> Result<Markup, Problem> {
    let [state, buttons, content] = regions(site, vfs, dataset, name)?;
    let catalog = vfs.catalog();
    let title =
        catalog.dataset(dataset).map(|dataset| shown(dataset.title())).filter(|title| !title.is_empty());
    let view = View::Product(dataset.to_owned(), name.to_owned());
    let body = html! {
        nav.crumbs aria-label="Way back" {
            a href="/datasets" { "Datasets" } " › "
            a href=(dataset_address(dataset)) { (title.unwrap_or_else(|| shown(dataset))) }
        }
        h1.name { (shown(name)) }
        section.state aria-labelledby="h-state" {
            h2 #h-state .heard { "State" }
            (state.placed())
            (buttons.placed())
        }
        (content.placed())
    };
    Ok(Page { title: &shown(name), here: Here::Datasets, view: Some(&view), told, body }.framed(site))
}

/// The picture of a product that is here.
pub(super) fn preview(vfs: &Vfs, dataset: &str, file: &str) -> Result<Vec<u8>, Problem> {
    let missing =
        || Problem::missing("there is no such picture: the product is not here, or holds no raster");
    let name = file.strip_suffix(".png").ok_or_else(missing)?;
    let catalog = vfs.catalog();
    let product = find(&catalog, dataset, name)?;
    vfs.preview(product).map_err(|error| Problem::local(error.to_string()))?.ok_or_else(missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_has_the_buttons_that_make_sense() {
        let words = |state, renewing, pinned, served| -> Vec<&str> {
            let buttons = choices(&Progress::bare(state), renewing, pinned, served);
            buttons.into_iter().map(|(_, label)| label).collect()
        };
        assert_eq!(words(ProductState::Cold, false, false, true), ["Fetch", "Pin"]);
        assert_eq!(words(ProductState::Cold, false, false, false), ["Pin"]);
        assert_eq!(words(ProductState::Queued, false, false, true), ["Cancel the fetch", "Pin"]);
        assert_eq!(words(ProductState::Failed, false, true, true), ["Fetch again", "Unpin"]);
        assert_eq!(
            words(ProductState::Ready, false, false, true),
            ["Fetch a newer edition", "Pin", "Evict from the cache"]
        );
        assert_eq!(words(ProductState::Ready, false, true, true), ["Fetch a newer edition", "Unpin"]);
        assert_eq!(words(ProductState::Ready, true, true, true), ["Cancel the fetch", "Unpin"]);
    }
}
