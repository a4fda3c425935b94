//! Whatever the service does, a fetch ends, within a bounded number of calls, and gives its room back.

use proptest::prelude::*;

use super::fake::{Conversion, Delivery, House, OrderAnswer, Stage, nonsense, target, unreachable};
use crate::clms::ClmsError;
use crate::fetch::failure::FailureKind;
use crate::fetch::state::ProductState;
use crate::ingest::IngestError;

fn any_error() -> impl Strategy<Value = ClmsError> {
    prop_oneof![
        Just(unreachable()),
        Just(nonsense()),
        Just(ClmsError::RateLimited { retry_after: None }),
        Just(ClmsError::Server { status: 503, msg: String::new(), retry_after: None }),
        Just(ClmsError::Refused { status: 400, msg: String::new() }),
        Just(ClmsError::NoCredentials),
    ]
}

fn any_stage() -> impl Strategy<Value = Stage> {
    prop_oneof![
        4 => Just(Stage::Queued),
        3 => Just(Stage::Running),
        2 => Just(Stage::Done),
        1 => (0u64..5000).prop_map(Stage::Sized),
        1 => Just(Stage::DoneWithoutLink),
        1 => Just(Stage::QueuedWithLink),
        1 => prop_oneof![Just(Stage::Nok), Just(Stage::Rejected), Just(Stage::Cancelled)],
        1 => Just(Stage::Vanished),
        2 => any_error().prop_map(Stage::Fails),
    ]
}

/// A life that ends some day: a task that stays queued for ever is waited for for ever, rightly.
fn any_life() -> impl Strategy<Value = Vec<Stage>> {
    let end = prop_oneof![6 => Just(Stage::Done), 1 => Just(Stage::Nok), 1 => Just(Stage::Vanished)];
    (prop::collection::vec(any_stage(), 0..8), end).prop_map(|(mut life, end)| {
        life.push(end);
        life
    })
}

fn any_order() -> impl Strategy<Value = OrderAnswer> {
    prop_oneof![
        4 => Just(OrderAnswer::Accept),
        2 => any::<bool>().prop_map(|registered| OrderAnswer::Lost { registered }),
        2 => any::<bool>().prop_map(|registered| OrderAnswer::WithoutId { registered }),
        1 => any::<bool>().prop_map(|named| OrderAnswer::Refused { named }),
        1 => Just(OrderAnswer::Duplicate),
        2 => Just(OrderAnswer::AcceptAs(crate::clms::TaskId::parse("1001").unwrap())),
        1 => any_error().prop_map(OrderAnswer::Fails),
    ]
}

fn any_delivery() -> impl Strategy<Value = Delivery> {
    prop_oneof![
        3 => Just(Delivery::Whole),
        3 => (0usize..1000).prop_map(Delivery::BreaksAt),
        2 => (0usize..1000).prop_map(|end| Delivery::WithoutRanges(Some(end))),
        1 => Just(Delivery::WithoutRanges(None)),
        1 => Just(Delivery::UnknownLength),
        1 => Just(Delivery::Short),
        1 => Just(Delivery::Long),
        1 => Just(Delivery::Html),
        2 => Just(Delivery::Lost),
        1 => any_error().prop_map(Delivery::Fails),
    ]
}

fn any_conversion() -> impl Strategy<Value = Conversion> {
    let damaged = IngestError::Damaged { name: "a".to_owned(), reason: "crc".to_owned() };
    prop_oneof![
        3 => Just(Conversion::Entry),
        1 => (0usize..(20 << 20)).prop_map(Conversion::Writes),
        2 => Just(Conversion::Fails(damaged)),
        1 => Just(Conversion::Fails(IngestError::Timeout { seconds: 1 })),
        1 => Just(Conversion::Fails(IngestError::NoGeodata { found: "nothing".to_owned() })),
    ]
}

prop_compose! {
    fn any_house()(
        lives in prop::collection::vec(any_life(), 1..4),
        orders in prop::collection::vec(any_order(), 0..6),
        searches in prop::collection::vec(prop::option::weighted(0.2, any_error()), 0..6),
        downloads in prop::collection::vec(any_delivery(), 0..10),
        last_download in any_delivery(),
        conversions in prop::collection::vec(any_conversion(), 0..4),
        max_package in prop::option::weighted(0.1, Just(500)),
        foreign in any::<bool>(),
    ) -> House {
        let mut house = House::new();
        house.budget = 16 << 20;
        house.options.max_package = max_package;
        house.converter.plan(conversions);
        if foreign {
            house.service.has_task(&target(9), &[Stage::Done], jiff::Timestamp::now());
        }
        let mut world = house.service.world();
        (world.lives, world.orders) = (lives.into(), orders.into());
        (world.searches, world.downloads) = (searches.into(), downloads.into());
        world.last_download = last_download;
        drop(world);
        house
    }
}

impl std::fmt::Debug for House {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("House")
            .field("world", &self.service.world())
            .field("conversions", &self.converter.script)
            .field("max_package", &self.options.max_package)
            .finish_non_exhaustive()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn a_fetch_always_ends_within_bounds_and_gives_its_room_back(house in any_house()) {
        house.life(async {
            let engine = house.engine();
            let ticket = engine.request(&target(1), 7, false).unwrap();
            // a day of virtual time is longer than any of these scripts can last
            let ended = tokio::time::timeout(std::time::Duration::from_secs(86_400), ticket.wait()).await;
            let outcome = ended.expect("the fetch ends");
            let service = &house.service;
            let state = engine.product_state(&target(1).key);
            prop_assert_eq!(state, if outcome.is_ok() { ProductState::Ready } else { ProductState::Failed });
            // an order and one in its place, each sent at most three times when answers are lost
            prop_assert!(service.orders() <= 6, "{} orders", service.orders());
            prop_assert!(service.searches() <= 2 * 22, "{} searches", service.searches());
            prop_assert!(service.polls() <= 200, "{} polls", service.polls());
            prop_assert!(service.downloads().len() <= 120, "{} downloads", service.downloads().len());
            prop_assert!(house.converter.conversions() <= 2);
            match outcome {
                // half a package is kept with its room
                Err(failure) if failure.kind == FailureKind::Offline => {}
                _ => {
                    prop_assert_eq!(engine.inventory().usage().reserved, 0);
                    prop_assert!(house.staged().is_empty(), "{:?}", house.staged());
                }
            }
            engine.shut_down().await;
            Ok(())
        })?;
    }
}
