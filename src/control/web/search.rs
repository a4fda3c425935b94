//! Finds datasets by words and by what their products are. A request does a bounded amount of work, however large the
//! catalogue is: what only names and titles decide is decided at once, and where records must be unpacked the search stops
//! after so many products and goes on with the next request.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use serde::Deserialize;

use crate::catalog::{Catalog, Dataset, Kind, Product};
use crate::fetch::engine::Engine;
use crate::fetch::state::ProductState;
use crate::store::vector::VectorFormat;
use crate::vfs::tree::{entry_key, entry_key_prefix};

/// Datasets of one answer.
pub(super) const ROWS: usize = 50;
/// Products that one request looks at before it stops.
const LOOKS: usize = 20_000;
/// Products that are named in a row.
const NAMED: usize = 3;

/// The form as browsers send it: everything is text, and empty where nothing was chosen.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    pub(super) q: String,
    pub(super) products: String,
    pub(super) state: String,
    pub(super) kind: String,
    pub(super) format: String,
    pub(super) from: usize,
}

impl Asked {
    /// The query of the same search from another place on.
    pub(super) fn query(&self, from: usize) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        let fields = [
            ("q", &self.q),
            ("products", &self.products),
            ("state", &self.state),
            ("kind", &self.kind),
            ("format", &self.format),
        ];
        for (name, value) in fields.into_iter().filter(|(_, value)| !value.is_empty()) {
            query.append_pair(name, value);
        }
        if from > 0 {
            query.append_pair("from", &from.to_string());
        }
        query.finish()
    }
}

/// Choices of the field `state`, with their words.
pub(super) const STATES: [(&str, &str); 4] =
    [("ready", "only ready"), ("under-way", "being fetched"), ("failed", "failed"), ("cold", "not here")];
/// Choices of the field `kind`.
pub(super) const KINDS: [(&str, &str); 2] = [("raster", "raster"), ("vector", "vector")];
/// Choices of the field `format`.
pub(super) const FORMATS: [(&str, &str); 5] = [
    ("geotiff", "GeoTIFF"),
    ("netcdf", "netCDF"),
    ("gpkg", "GeoPackage"),
    ("gdb", "file geodatabase"),
    ("shp", "shapefile"),
];

/// What is looked for.
#[derive(Debug, Clone)]
pub(super) struct Filter {
    words: Vec<String>,
    among_products: bool,
    state: Option<Wanted>,
    kind: Option<bool>,
    format: Option<Format>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Ready,
    UnderWay,
    Failed,
    Cold,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    GeoTiff,
    Netcdf,
    Vector(VectorFormat),
}

impl Filter {
    /// What a form asks for; values that no form of ours has mean nothing.
    pub(super) fn of(asked: &Asked) -> Self {
        Self {
            words: words(&asked.q),
            among_products: !asked.products.is_empty(),
            state: match asked.state.as_str() {
                "ready" => Some(Wanted::Ready),
                "under-way" => Some(Wanted::UnderWay),
                "failed" => Some(Wanted::Failed),
                "cold" => Some(Wanted::Cold),
                _ => None,
            },
            kind: match asked.kind.as_str() {
                "raster" => Some(false),
                "vector" => Some(true),
                _ => None,
            },
            format: match asked.format.as_str() {
                "geotiff" => Some(Format::GeoTiff),
                "netcdf" => Some(Format::Netcdf),
                "gpkg" => Some(Format::Vector(VectorFormat::GeoPackage)),
                "gdb" => Some(Format::Vector(VectorFormat::FileGdb)),
                "shp" => Some(Format::Vector(VectorFormat::Shapefile)),
                _ => None,
            },
        }
    }

    /// Whether products must be looked at, for which records are unpacked.
    pub(super) fn needs_products(&self) -> bool {
        self.state.is_some()
            || self.kind.is_some()
            || self.format.is_some()
            || (self.among_products && !self.words.is_empty())
    }

    fn fits_heading(&self, dataset: &Dataset) -> bool {
        let hay = format!("{} {}", dataset.name(), dataset.title()).to_lowercase();
        self.words.iter().all(|word| hay.contains(word.as_str()))
    }

    /// Whether a product is meant; `named` where its dataset's name and title have all the words already.
    pub(super) fn fits(&self, product: Product<'_>, named: bool, engine: &Engine) -> bool {
        let by_words = named
            || self.among_products && {
                let dataset = product.dataset();
                let hay = format!("{} {} {}", product.name(), dataset.name(), dataset.title()).to_lowercase();
                self.words.iter().all(|word| hay.contains(word.as_str()))
            };
        let is_vector = product.kind() == Kind::Vector;
        let unknown = product.kind() == Kind::Unknown;
        by_words
            && self.kind.is_none_or(|vector| unknown || vector == is_vector)
            && self.format.is_none_or(|format| match format {
                Format::GeoTiff => matches!(product.kind(), Kind::Raster | Kind::Unknown),
                Format::Netcdf => matches!(product.kind(), Kind::Netcdf | Kind::Unknown),
                Format::Vector(format) => product.expected_vectors().contains(&format),
            })
            && self.state.is_none_or(|state| {
                let now = engine.product_state(&entry_key(product));
                match state {
                    Wanted::Ready => now == ProductState::Ready,
                    Wanted::UnderWay => now.is_under_way(),
                    Wanted::Failed => now == ProductState::Failed,
                    Wanted::Cold => now == ProductState::Cold,
                }
            })
    }
}

/// A text as words to look for.
pub(super) fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_lowercase).collect()
}

/// Which products are not cold: all others need not be asked for one by one.
#[derive(Debug, Default)]
pub(super) struct Touched {
    ready: BTreeSet<String>,
    under_way: BTreeSet<String>,
    failed: BTreeSet<String>,
}

impl Touched {
    /// As it is now.
    pub(super) fn now(engine: &Engine) -> Self {
        let holdings = engine.inventory().holdings();
        let mut touched =
            Self { ready: holdings.iter().map(|held| held.key.to_string()).collect(), ..Self::default() };
        for job in engine.jobs() {
            let set =
                if job.progress.state.is_under_way() { &mut touched.under_way } else { &mut touched.failed };
            set.insert(job.key.to_string());
        }
        touched
    }

    fn of(set: &BTreeSet<String>, dataset: &Dataset) -> usize {
        let prefix = entry_key_prefix(dataset);
        set.range(prefix.clone()..).take_while(|key| key.starts_with(&prefix)).count()
    }

    /// Ready, under way and failed products of a dataset.
    pub(super) fn counts(&self, dataset: &Dataset) -> [usize; 3] {
        [&self.ready, &self.under_way, &self.failed].map(|set| Self::of(set, dataset))
    }
}

/// A dataset that was found.
pub(super) struct Row<'a> {
    pub(super) dataset: &'a Dataset,
    /// How many of its products were meant, where products were looked at.
    pub(super) fitting: Option<usize>,
    /// The first few of these.
    pub(super) named: Vec<Product<'a>>,
}

/// An answer.
pub(super) struct Found<'a> {
    pub(super) rows: Vec<Row<'a>>,
    /// How many there are in all and before this answer, where that is known without unpacking records.
    pub(super) total: Option<(usize, usize)>,
    /// Where the search goes on.
    pub(super) next: Option<usize>,
}

/// Looks from dataset number `from` on.
pub(super) fn find<'a>(
    catalog: &'a Catalog,
    engine: &Engine,
    filter: &Filter,
    touched: &Touched,
    from: usize,
) -> Found<'a> {
    let datasets = catalog.datasets();
    let from = from.min(datasets.len());
    if !filter.needs_products() {
        let fits = |dataset: &&Dataset| filter.fits_heading(dataset);
        let before = datasets[..from].iter().filter(fits).count();
        let mut rest =
            datasets.iter().enumerate().skip(from).filter(|(_, dataset)| filter.fits_heading(dataset));
        let rows: Vec<_> = rest
            .by_ref()
            .take(ROWS)
            .map(|(_, dataset)| Row { dataset, fitting: None, named: Vec::new() })
            .collect();
        let next = rest.next().map(|(number, _)| number);
        let total = before + rows.len() + usize::from(next.is_some()) + rest.count();
        return Found { rows, total: Some((total, before)), next };
    }
    let mut rows = Vec::new();
    let mut looks = 0;
    let searched = datasets.iter().enumerate().skip(from).try_for_each(|(number, dataset)| {
        if rows.len() >= ROWS || looks >= LOOKS {
            return ControlFlow::Break(number);
        }
        rows.extend(row(dataset, engine, filter, touched, &mut looks));
        ControlFlow::Continue(())
    });
    Found { rows, total: None, next: searched.break_value() }
}

/// What of a dataset is meant; `None` for nothing. Unpacks its record unless its heading rules it out.
fn row<'a>(
    dataset: &'a Dataset,
    engine: &Engine,
    filter: &Filter,
    touched: &Touched,
    looks: &mut usize,
) -> Option<Row<'a>> {
    let named = filter.fits_heading(dataset);
    if !named && !filter.among_products {
        return None;
    }
    let [ready, under_way, failed] = touched.counts(dataset);
    let possible = match filter.state {
        Some(Wanted::Ready) => ready,
        Some(Wanted::UnderWay) => under_way,
        Some(Wanted::Failed) => failed,
        Some(Wanted::Cold) | None => 1,
    };
    if possible == 0 {
        return None;
    }
    *looks += dataset.product_count();
    let mut fitting = dataset.products().filter(|product| filter.fits(*product, named, engine));
    let first: Vec<_> = fitting.by_ref().take(NAMED).collect();
    let count = first.len() + fitting.count();
    (count > 0).then_some(Row { dataset, fitting: Some(count), named: first })
}
