//! A product that is here is fetched anew: it is served meanwhile, replaced at once, and kept when nothing newer comes.

use super::fake::{Conversion, House, target, until};
use super::flow::state;
use super::resume::{MOMENTS, gate, is_there};
use crate::fetch::engine::{Change, Engine};
use crate::fetch::failure::FailureKind;
use crate::fetch::state::ProductState;
use crate::ingest::IngestError;

async fn fetched(house: &House) -> Engine {
    let engine = house.engine();
    engine.resume().unwrap();
    engine.request(&target(1), 7, false).unwrap().wait().await.unwrap();
    engine
}

#[tokio::test(start_paused = true)]
async fn what_is_here_is_served_until_the_newer_one_takes_its_place() {
    let house = House::new();
    let engine = fetched(&house).await;
    let key = target(1).key;
    let before = engine.inventory().lease(&key).unwrap();
    let mut changes = engine.changes();
    house.converter.gate.shut();
    let ticket = engine.refresh(&target(1), 7).unwrap();
    until("it is converted", || house.converter.conversions() == 2).await;
    // The first task is finished and its link is fresh, but what it brings is not newer.
    assert_eq!((house.service.orders(), house.service.downloads().len()), (2, 2));
    assert_eq!(state(&engine, 1), ProductState::Ready);
    assert_eq!(engine.progress(&key).state, ProductState::Ready);
    assert!(engine.under_way(&key).unwrap().state.is_under_way());
    engine.request(&target(1), 8, false).unwrap().wait().await.unwrap();
    assert!(engine.inventory().is_current(&before));
    house.converter.gate.open();
    ticket.wait().await.unwrap();
    assert!(!engine.inventory().is_current(&before));
    assert_eq!((engine.inventory().edition(&key), state(&engine, 1)), (1, ProductState::Ready));
    assert!(matches!(changes.recv().await.unwrap(), Change::Replaced { key: gone } if gone == key));
    assert!(matches!(changes.recv().await.unwrap(), Change::Ready { path, .. } if path == target(1).path));
    let formers = house.converter.formers.lock().unwrap().clone();
    assert_eq!(formers, [None, Some(before.directory().to_owned())]);
    assert!(house.staged().is_empty() && engine.ledger().jobs().unwrap().is_empty());
    assert_eq!(engine.inventory().usage().reserved, 0);
}

#[tokio::test(start_paused = true)]
async fn a_product_that_is_not_here_is_fetched() {
    let house = House::new();
    let engine = house.engine();
    engine.refresh(&target(1), 7).unwrap().wait().await.unwrap();
    assert_eq!((house.service.orders(), engine.inventory().edition(&target(1).key)), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_failed_refresh_keeps_what_is_here_and_says_why() {
    let house = House::new();
    let engine = fetched(&house).await;
    let broken = || Conversion::Fails(IngestError::NoGeodata { found: "nothing".to_owned() });
    house.converter.plan([broken()]);
    let failure = engine.refresh(&target(1), 7).unwrap().wait().await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Package);
    assert_eq!((state(&engine, 1), engine.inventory().edition(&target(1).key)), (ProductState::Ready, 0));
    let error = engine.progress(&target(1).key).error.unwrap();
    assert!(error.starts_with("not renewed: ") && error.contains("no raster"), "{error}");
    assert!(house.staged().is_empty());
    engine.shut_down().await;
    drop(engine);
    // The order was paid for: after a restart, too, the next attempt goes on from it.
    let engine = house.engine();
    engine.resume().unwrap();
    assert_eq!(state(&engine, 1), ProductState::Ready);
    engine.refresh(&target(1), 7).unwrap().wait().await.unwrap();
    assert_eq!((house.service.orders(), engine.progress(&target(1).key).error), (2, None));
    assert_eq!(engine.inventory().edition(&target(1).key), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_to_be_replaced_does_not_make_room_for_it() {
    let mut house = House::new();
    house.budget = 2 << 20;
    let engine = fetched(&house).await;
    house.converter.plan([Conversion::Writes(4 << 20)]);
    // Held with all that it has written, until it is measured.
    house.converter.gate.shut();
    let failure = engine.refresh(&target(1), 7).unwrap().wait().await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::NoSpace, "{failure}");
    assert_eq!(state(&engine, 1), ProductState::Ready);
}

#[test]
fn a_killed_refresh_goes_on_from_every_step_without_a_further_order() {
    for moment in MOMENTS {
        let house = House::new();
        let moments = |house: &House| match moment {
            "order" => house.service.orders() == 2,
            "link" => house.service.downloads().len() == 2,
            "convert" => house.converter.conversions() == 2,
            "poll" => house.service.orders() == 2 && is_there(house, moment),
            _ => is_there(house, moment),
        };
        house.life(async {
            let engine = fetched(&house).await;
            gate(&house, moment).shut();
            engine.refresh(&target(1), 7).unwrap();
            until(moment, || moments(&house)).await;
        });
        gate(&house, moment).open();
        house.life(async {
            let engine = house.engine();
            let before = engine.inventory().peek(&target(1).key).unwrap();
            engine.resume().unwrap();
            assert_eq!(state(&engine, 1), ProductState::Ready, "{moment}: served while it goes on");
            until("it is replaced", || !engine.inventory().is_current(&before)).await;
            until("the books are closed", || engine.ledger().jobs().unwrap().is_empty()).await;
            assert_eq!(house.service.orders(), 2, "{moment}");
            assert!(house.staged().is_empty());
        });
    }
}

#[tokio::test(start_paused = true)]
async fn the_entry_of_another_id_under_the_same_name_is_a_donor() {
    let house = House::new();
    let engine = fetched(&house).await;
    let directory = engine.inventory().peek(&target(1).key).unwrap().directory().to_owned();
    let mut newer = target(2);
    newer.path = target(1).path;
    engine.request(&newer, 7, false).unwrap().wait().await.unwrap();
    engine.request(&target(3), 7, false).unwrap().wait().await.unwrap();
    assert_eq!(*house.converter.formers.lock().unwrap(), [None, Some(directory), None]);
}

/// What the service withdraws stays in the catalogue while it is in use: nobody who waits for a product loses it.
#[tokio::test(start_paused = true)]
async fn a_product_is_in_use_from_its_order_on() {
    let house = House::new();
    let engine = house.engine();
    let key = target(1).key;
    assert!(!engine.is_in_use(&key) && engine.in_use().is_empty());
    house.service.order_gate.shut();
    let ticket = engine.request(&target(1), 7, false).unwrap();
    until("it is ordered", || house.service.orders() == 1).await;
    assert!(engine.is_in_use(&key) && engine.in_use().contains(&key));
    house.service.order_gate.open();
    ticket.wait().await.unwrap();
    assert!(engine.is_in_use(&key) && engine.in_use().contains(&key));
    engine.inventory().evict(&key).unwrap();
    assert!(!engine.is_in_use(&key) && engine.in_use().is_empty());
}
