//! The file system against a reference: whatever readers, users, the catalogue and the service do in whatever order, every
//! answer is what DESIGN.md promises.
//!
//! `PROPTEST_CASES=100000 cargo test --lib vfs::tests::model` looks longer.

mod kernel;
mod reference;

use std::sync::{Arc, OnceLock};

use proptest::prelude::*;
use serde_json::Value;

use super::{catalog, dataset, file};
use crate::catalog::Catalog;
use crate::fetch::tests::fake::House;
use kernel::Kernel;
use reference::{DATASETS, How, NAMES, PRODUCTS, Part, Place};

/// Walks that `make test` tries.
const CASES: u32 = 60;

/// How a fetch ends.
#[derive(Debug, Clone, Copy)]
enum Ending {
    /// With an entry of so many pixels per side.
    Published(u8),
    Unreachable,
    LinkLost,
    NoGeodata,
    Hangs,
    TooLarge,
}

/// Something that somebody does. Numbers pick one of those that are there.
#[derive(Debug, Clone)]
enum Op {
    LookUp(Place),
    Getattr(u8),
    OpenDirectory(u8),
    ReadDirectory {
        directory: u8,
        lines: u8,
        plus: bool,
    },
    /// Opens what the kernel has looked up at any time before.
    Open(u8, How),
    /// Looks a path up and opens it.
    OpenPath(Place, How),
    Read {
        handle: u8,
        from: u16,
        length: u16,
    },
    Release(u8),
    Interrupt(u8),
    Forget(u8, u8),
    Xattr(u8),
    Pin(u8, bool),
    Fetch(usize),
    Refresh(usize),
    Cancel(usize),
    Settle([Ending; PRODUCTS]),
    TimePasses,
    Evict(usize),
    Squeeze,
    Damage(usize),
    /// The catalogue offers a product under this name, or not at all.
    Offer(usize, Option<usize>),
}

fn any_part() -> impl Strategy<Value = Part> {
    prop_oneof![
        1 => Just(Part::Itself),
        1 => Just(Part::Item),
        6 => Just(Part::Tif),
        1 => Just(Part::Zarr),
        3 => Just(Part::ZarrRoot),
        1 => Just(Part::Band),
        1 => Just(Part::Row),
        2 => Just(Part::Chunk),
        1 => Just(Part::Nothing),
    ]
}

fn any_variant() -> impl Strategy<Value = usize> {
    prop_oneof![4 => Just(0usize), 1 => Just(1usize)]
}

fn any_place() -> impl Strategy<Value = Place> {
    let dataset = || 0..DATASETS.len();
    prop_oneof![
        1 => prop_oneof![Just(Place::Readme), Just(Place::Catalog), Just(Place::Live), Just(Place::Version)],
        1 => dataset().prop_map(Place::Dataset),
        1 => prop_oneof![dataset().prop_map(Place::Collection), dataset().prop_map(Place::Metadata)],
        12 => (0..PRODUCTS, any_variant(), any_part())
            .prop_map(|(product, variant, part)| Place::In(product, variant, part)),
        1 => Just(Place::Nothing),
    ]
}

fn any_how() -> impl Strategy<Value = How> {
    prop_oneof![
        6 => Just(How::Waiting),
        2 => Just(How::Nonblock),
        1 => Just(How::Eagain),
        1 => Just(How::NoOrder),
        1 => Just(How::Denied),
        1 => Just(How::Noatime),
        1 => Just(How::Writing),
    ]
}

fn any_ending() -> impl Strategy<Value = Ending> {
    prop_oneof![
        8 => any::<u8>().prop_map(Ending::Published),
        1 => Just(Ending::Unreachable),
        1 => Just(Ending::LinkLost),
        1 => Just(Ending::NoGeodata),
        1 => Just(Ending::Hangs),
        1 => Just(Ending::TooLarge),
    ]
}

fn any_op() -> impl Strategy<Value = Op> {
    let product = || 0..PRODUCTS;
    let some = any::<u8>;
    prop_oneof![
        4 => any_place().prop_map(Op::LookUp),
        4 => some().prop_map(Op::Getattr),
        2 => some().prop_map(Op::OpenDirectory),
        4 => (some(), 0u8..6, any::<bool>())
            .prop_map(|(directory, lines, plus)| Op::ReadDirectory { directory, lines, plus }),
        5 => (some(), any_how()).prop_map(|(number, how)| Op::Open(number, how)),
        10 => (any_place(), any_how()).prop_map(|(place, how)| Op::OpenPath(place, how)),
        5 => (some(), any::<u16>(), 0u16..5000)
            .prop_map(|(handle, from, length)| Op::Read { handle, from, length }),
        3 => some().prop_map(Op::Release),
        2 => some().prop_map(Op::Interrupt),
        4 => (some(), 1u8..4).prop_map(|(number, times)| Op::Forget(number, times)),
        2 => some().prop_map(Op::Xattr),
        1 => (some(), any::<bool>()).prop_map(|(number, pinned)| Op::Pin(number, pinned)),
        1 => product().prop_map(Op::Fetch),
        3 => product().prop_map(Op::Refresh),
        1 => product().prop_map(Op::Cancel),
        6 => prop::array::uniform4(any_ending()).prop_map(Op::Settle),
        1 => Just(Op::TimePasses),
        2 => product().prop_map(Op::Evict),
        1 => Just(Op::Squeeze),
        1 => product().prop_map(Op::Damage),
        2 => (product(), prop_oneof![3 => Just(Some(0)), 1 => Just(Some(1)), 1 => Just(None)])
            .prop_map(|(product, variant)| Op::Offer(product, variant)),
    ]
}

/// The catalogue that offers these products under these names.
fn catalog_of(offered: &[Option<usize>; PRODUCTS]) -> Arc<Catalog> {
    let records: Vec<Value> = DATASETS
        .iter()
        .map(|(name, products)| {
            let named = |product: &usize| Some((*product, NAMES[*product][offered[*product]?]));
            let files = products.iter().filter_map(named).map(|(product, name)| {
                let mut file = file(name, "Raster");
                // the service's id stays when the name changes
                file["@id"] = serde_json::json!(format!("file-{product}"));
                file
            });
            dataset(name, &files.collect::<Vec<_>>())
        })
        .collect();
    catalog(&records)
}

/// The catalogue with everything under its first name; keys never change.
fn whole_catalog() -> &'static Arc<Catalog> {
    static WHOLE: OnceLock<Arc<Catalog>> = OnceLock::new();
    WHOLE.get_or_init(|| catalog_of(&[Some(0); PRODUCTS]))
}

/// What the reference calls a path; `None` for what it has no word for.
fn place_of(path: &str) -> Option<Place> {
    static PLACES: OnceLock<Vec<(String, Place)>> = OnceLock::new();
    let all = || {
        let mut all = vec![Place::Root, Place::Readme, Place::Catalog, Place::Live, Place::Version];
        for number in 0..DATASETS.len() {
            all.extend([Place::Dataset(number), Place::Collection(number), Place::Metadata(number)]);
        }
        let parts = [
            Part::Itself,
            Part::Item,
            Part::Tif,
            Part::Zarr,
            Part::ZarrRoot,
            Part::Band,
            Part::Row,
            Part::Chunk,
        ];
        for (product, variant) in (0..PRODUCTS).flat_map(|product| [(product, 0), (product, 1)]) {
            all.extend(parts.map(|part| Place::In(product, variant, part)));
        }
        all.into_iter().map(|place| (place.path(), place)).collect()
    };
    PLACES.get_or_init(all).iter().find(|(known, _)| known == path).map(|(_, place)| *place)
}

/// `PROPTEST_CASES` walks, or [`CASES`].
fn config() -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(CASES);
    ProptestConfig { cases, max_shrink_iters: 4000, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]
    #[test]
    fn every_answer_is_what_the_reference_promises(
        ops in prop::collection::vec(any_op(), 1..90),
        impatient in prop::bool::weighted(0.2),
    ) {
        let house = House::new();
        house.life(async {
            // dropped here: the house outlives its engine
            let mut kernel = Kernel::new(House::new(), impatient);
            for op in &ops {
                kernel.perform(op).await;
            }
            kernel.leave().await;
        });
    }
}
