//! Packages that are unpacked while they are downloaded: which ones, and when it counts for nothing.

use std::sync::atomic::Ordering::Relaxed;

use super::fake::{AHEAD, Conversion, Delivery, House, package, target, unreachable, until};
use super::flow::state;
use crate::fetch::engine::Engine;
use crate::fetch::state::ProductState;
use crate::ingest::IngestError;

/// Enough for it to be worth it.
const LARGE: usize = 17 << 20;

/// A house whose package has so many bytes, of which the second half waits.
fn house_with(bytes: usize) -> House {
    let house = House::new();
    house.service.world().package = package(bytes);
    house.service.half_gate.shut();
    house
}

/// One whose package is worth it.
fn house() -> (House, Engine) {
    let house = house_with(LARGE);
    let engine = house.engine();
    (house, engine)
}

/// How many downloads are followed.
fn followers(house: &House) -> u32 {
    house.converter.followers.load(Relaxed)
}

/// Members that conversions found unpacked, and how many downloads were followed in all; nothing is left behind.
fn found(house: &House, engine: &Engine) -> (Vec<usize>, u32) {
    assert_eq!((followers(house), engine.inventory().usage().reserved), (0, 0));
    assert!(house.staged().is_empty());
    (house.converter.aheads.lock().unwrap().clone(), house.converter.follows.load(Relaxed))
}

#[tokio::test(start_paused = true)]
async fn a_large_package_is_unpacked_while_it_is_downloaded() {
    let (house, engine) = house();
    let ticket = engine.request(&target(1), 7, false).unwrap();
    until("it is followed", || followers(&house) == 1).await;
    assert_eq!(state(&engine, 1), ProductState::Downloading);
    assert_eq!(
        engine.inventory().usage().reserved,
        LARGE as u64 + AHEAD,
        "what is written ahead is reserved"
    );
    house.service.half_gate.open();
    ticket.wait().await.unwrap();
    assert_eq!(found(&house, &engine), (vec![1], 1));
}

#[tokio::test(start_paused = true)]
async fn a_small_package_and_one_that_fits_barely_are_not() {
    for (bytes, budget) in [(15 << 20, 64 << 20), (LARGE, 40 << 20)] {
        let mut house = house_with(bytes);
        house.budget = budget;
        let engine = house.engine();
        let ticket = engine.request(&target(1), 7, false).unwrap();
        until("half of it is here", || {
            let part = house.staging(&target(1)).join("package.part");
            std::fs::metadata(part).is_ok_and(|part| part.len() == bytes as u64 / 2)
        })
        .await;
        house.service.half_gate.open();
        ticket.wait().await.unwrap();
        assert_eq!(found(&house, &engine), (vec![0], 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_download_that_begins_anew_counts_for_nothing() {
    let (house, engine) = house();
    let deliveries = [Delivery::BreaksAt(LARGE - 10), Delivery::WithoutRanges(None)];
    house.service.world().downloads = deliveries.into();
    let ticket = engine.request(&target(1), 7, false).unwrap();
    until("it is followed", || followers(&house) == 1).await;
    // another package under the same link
    house.service.world().package = package(LARGE + 1000);
    house.service.half_gate.open();
    ticket.wait().await.unwrap();
    assert_eq!(*house.converter.packages.lock().unwrap(), [package(LARGE + 1000)]);
    assert_eq!(found(&house, &engine), (vec![0], 1));
}

#[tokio::test(start_paused = true)]
async fn one_that_is_resumed_is_followed_on() {
    let (house, engine) = house();
    let deliveries = [Delivery::BreaksAt(LARGE - 10), Delivery::Fails(unreachable())];
    house.service.world().downloads = deliveries.into();
    let ticket = engine.request(&target(1), 7, false).unwrap();
    until("it is followed", || followers(&house) == 1).await;
    house.service.half_gate.open();
    ticket.wait().await.unwrap();
    assert_eq!(house.service.downloads(), [0, LARGE as u64 - 10, LARGE as u64 - 10]);
    assert_eq!(found(&house, &engine), (vec![1], 1));
}

#[tokio::test(start_paused = true)]
async fn a_lost_link_ends_it_and_what_is_found_again_is_followed_again() {
    let (house, engine) = house();
    house.service.world().downloads = [Delivery::BreaksAt(LARGE - 10), Delivery::Lost].into();
    let ticket = engine.request(&target(1), 7, false).unwrap();
    until("it is followed", || followers(&house) == 1).await;
    house.service.half_gate.open();
    until("the link is lost", || followers(&house) == 0).await;
    ticket.wait().await.unwrap();
    let (aheads, follows) = found(&house, &engine);
    assert!(aheads.len() == 1 && (1..=2).contains(&follows), "{aheads:?}, {follows}");
}

#[tokio::test(start_paused = true)]
async fn who_cancels_ends_it() {
    let (house, engine) = house();
    let ticket = engine.request(&target(1), 7, false).unwrap();
    until("it is followed", || followers(&house) == 1).await;
    assert!(engine.cancel(&target(1).key));
    ticket.wait().await.unwrap_err();
    until("nothing is left", || followers(&house) == 0 && engine.inventory().usage().reserved == 0).await;
    assert!(house.staged().is_empty());
}

/// One download is followed at a time, and neither a conversion nor another download waits for that.
#[tokio::test(start_paused = true)]
async fn nobody_waits_for_a_follower() {
    let (house, engine) = house();
    let first = engine.request(&target(1), 7, false).unwrap();
    until("it is followed", || followers(&house) == 1).await;
    house.service.world().package = package(16 << 20);
    let second = engine.request(&target(2), 7, false).unwrap();
    until("both are here by half", || house.service.downloads().len() == 2).await;
    assert_eq!(house.converter.follows.load(Relaxed), 1);
    house.service.half_gate.open();
    second.wait().await.unwrap();
    first.wait().await.unwrap();
    let (aheads, _) = found(&house, &engine);
    assert_eq!(aheads.len(), 2);
}

/// A damaged package is downloaded again: what was unpacked of the first is not taken for the second.
#[tokio::test(start_paused = true)]
async fn a_package_that_is_fetched_again_is_unpacked_again() {
    let (house, engine) = house();
    let damaged = IngestError::Damaged { name: "p.zip".to_owned(), reason: "cut".to_owned() };
    house.converter.plan([Conversion::Fails(damaged)]);
    house.converter.gate.shut();
    let ticket = engine.request(&target(1), 7, false).unwrap();
    until("it is followed", || followers(&house) == 1).await;
    house.service.half_gate.open();
    until("it is converted", || house.converter.conversions() == 1).await;
    house.service.half_gate.shut();
    house.converter.gate.open();
    until("it is followed again", || followers(&house) == 1).await;
    house.service.half_gate.open();
    ticket.wait().await.unwrap();
    assert_eq!(found(&house, &engine), (vec![1, 1], 2));
}
