//! Room on the disk, and orders per hour.

use super::fake::{Conversion, Delivery, House, Stage, target, unreachable, until};
use super::flow::state;
use crate::fetch::engine::{Engine, Refusal};
use crate::fetch::failure::FailureKind;
use crate::fetch::state::ProductState;

async fn no_space(house: &House, engine: &Engine) -> String {
    let failure = engine.request(&target(1), 7, true).unwrap().wait().await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::NoSpace);
    assert!(house.staged().is_empty());
    assert_eq!(engine.inventory().usage().reserved, 0);
    failure.message
}

#[tokio::test(start_paused = true)]
async fn a_package_that_does_not_fit_is_not_begun() {
    let mut house = House::new();
    house.budget = 1 << 20;
    house.service.world().lives = [vec![Stage::Sized(2 << 20)]].into();
    house.service.world().package = super::fake::package(2 << 20);
    house.service.world().last_download = Delivery::UnknownLength;
    let engine = house.engine();
    let message = no_space(&house, &engine).await;
    assert!(message.contains("--cache-size"), "{message}");
    assert_eq!(engine.counters().downloaded.get(), 0);
    // with room it goes on from the task that was paid for
    house.service.world().lives = [vec![Stage::Done]].into();
    let _ = no_space(&house, &engine).await;
    assert_eq!(house.service.orders(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_the_catalogue_declares_too_large_is_ordered_only_for_who_insists() {
    let mut house = House::new();
    house.options.orders_per_hour = 1;
    let engine = house.engine();
    let declared = Some(1 << 50);
    let target = crate::fetch::engine::Target { declared, ..target(1) };
    let failure = engine.request(&target, 7, false).unwrap().wait().await.unwrap_err();
    assert_eq!((failure.kind, house.service.orders()), (FailureKind::NoSpace, 0));
    assert!(failure.message.contains("clmsfs fetch"), "{}", failure.message);
    // the declaration is an editor's text, and the refusal cost nothing of the user's one order
    engine.request(&target, 7, true).unwrap().wait().await.unwrap();
    assert_eq!(house.service.orders(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_size_that_is_announced_much_too_large_is_not_believed() {
    let house = House::new();
    house.service.world().lives = [vec![Stage::Sized(1 << 50)]].into();
    let engine = house.engine();
    engine.request(&target(1), 7, true).unwrap().wait().await.unwrap();
    assert_eq!((house.service.orders(), engine.inventory().usage().reserved), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_package_larger_than_announced_does_not_fit_either() {
    let mut house = House::new();
    house.budget = 1 << 20;
    for delivery in [Delivery::Whole, Delivery::UnknownLength] {
        house.service.world().package = super::fake::package(2 << 20);
        house.service.world().last_download = delivery;
        let engine = house.engine();
        no_space(&house, &engine).await;
        engine.shut_down().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_package_that_unpacks_beyond_the_budget_leaves_nothing_behind() {
    let mut house = House::new();
    house.budget = 8 << 20;
    house.converter.plan([Conversion::Writes(16 << 20)]);
    house.converter.gate.shut();
    let engine = house.engine();
    no_space(&house, &engine).await;
    house.converter.gate.open();
    engine.request(&target(1), 7, true).unwrap().wait().await.unwrap();
    assert_eq!((house.service.orders(), engine.inventory().usage().reserved), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn the_largest_package_is_a_setting() {
    let mut house = House::new();
    house.options.max_package = Some(999);
    let engine = house.engine();
    let message = no_space(&house, &engine).await;
    assert!(message.contains("max_package_size"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn a_package_of_unknown_length_may_be_as_large_as_the_largest() {
    for (largest, arrives) in [(1000, true), (999, false)] {
        let mut house = House::new();
        house.options.max_package = Some(largest);
        house.service.world().last_download = Delivery::UnknownLength;
        let engine = house.engine();
        let result = engine.request(&target(1), 7, false).unwrap().wait().await;
        assert_eq!(result.is_ok(), arrives, "{result:?}");
        if let Err(failure) = result {
            assert!(failure.message.contains("has 1000 bytes"), "{failure}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_product_evicts_an_old_one_but_not_a_pinned_one() {
    let mut house = House::new();
    house.budget = 4 << 20;
    let engine = house.engine();
    engine.request(&target(1), 7, false).unwrap().wait().await.unwrap();
    let usage = engine.inventory().usage();
    // does not fit beside the first entry, but in its place
    let package = usage.limit - usage.total() + usage.entries / 2;
    house.service.world().package = super::fake::package(package as usize);
    let path = "dataset/product-1";
    engine.pin(&target(1).key, path, true).unwrap();
    let failure = engine.request(&target(2), 7, true).unwrap().wait().await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::NoSpace);
    assert_eq!(state(&engine, 1), ProductState::Ready);
    engine.pin(&target(1).key, path, false).unwrap();
    engine.request(&target(2), 7, true).unwrap().wait().await.unwrap();
    assert_eq!((state(&engine, 1), state(&engine, 2)), (ProductState::Cold, ProductState::Ready));
    assert_eq!(house.service.orders(), 2);
}

fn budget(house: &mut House, orders: u32) -> Engine {
    house.options.orders_per_hour = orders;
    house.engine()
}

async fn refused(engine: &Engine, number: u32, insist: bool) -> FailureKind {
    engine.request(&target(number), 7, insist).unwrap().wait().await.unwrap_err().kind
}

#[tokio::test(start_paused = true)]
async fn every_user_has_an_order_budget() {
    let mut house = House::new();
    let engine = budget(&mut house, 2);
    for number in [1, 2] {
        engine.request(&target(number), 7, false).unwrap().wait().await.unwrap();
    }
    assert_eq!(refused(&engine, 3, true).await, FailureKind::Budget);
    assert_eq!(state(&engine, 3), ProductState::Cold);
    let note = engine.progress(&target(3).key).error.unwrap();
    assert!(note.contains("order budget used up") && note.contains("uid 7"), "{note}");
    // joining costs nothing, nor does another user's order
    engine.request(&target(1), 7, false).unwrap();
    engine.request(&target(3), 8, false).unwrap().wait().await.unwrap();
    assert_eq!(engine.progress(&target(3).key).error, None);
}

#[tokio::test(start_paused = true)]
async fn the_order_budget_survives_a_restart() {
    let mut house = House::new();
    let engine = budget(&mut house, 1);
    engine.request(&target(1), 7, false).unwrap().wait().await.unwrap();
    engine.shut_down().await;
    drop(engine);
    let engine = budget(&mut house, 1);
    assert_eq!(refused(&engine, 2, false).await, FailureKind::Budget);
}

#[tokio::test(start_paused = true)]
async fn fifty_first_readers_at_once_spend_one_order() {
    let mut house = House::new();
    house.service.order_gate.shut();
    let engine = budget(&mut house, 5);
    let start = std::sync::Barrier::new(20);
    let runtime = tokio::runtime::Handle::current();
    let turned_away = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..20)
            .map(|_| {
                scope.spawn(|| {
                    let _inside = runtime.enter();
                    start.wait();
                    engine.request(&target(1), 7, false).is_err()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).filter(|away| *away).count()
    });
    assert_eq!(turned_away, 0);
    house.service.order_gate.open();
    engine.request(&target(1), 7, false).unwrap().wait().await.unwrap();
    // four of the five are left
    for number in 2..=5 {
        engine.request(&target(number), 7, false).unwrap().wait().await.unwrap();
    }
    assert_eq!(refused(&engine, 6, false).await, FailureKind::Budget);
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_repeated_for_a_while_unless_the_user_insists() {
    let house = House::new();
    house.service.world().searches = [Some(unreachable())].into();
    let engine = house.engine();
    let failure = engine.request(&target(1), 7, false).unwrap().wait().await.unwrap_err();
    let searches = house.service.searches();
    match engine.request(&target(1), 7, false) {
        Err(Refusal::Failed(again)) => assert_eq!(again, failure),
        other => panic!("{other:?}"),
    }
    assert_eq!(house.service.searches(), searches);
    assert!(engine.progress(&target(1).key).retry_at.unwrap() > failure.at);
    engine.request(&target(1), 7, true).unwrap().wait().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_failed_job_refused_for_its_budget_is_not_forgotten() {
    let mut house = House::new();
    house.service.world().lives = [vec![Stage::Nok]].into();
    let engine = budget(&mut house, 1);
    engine.request(&target(1), 7, false).unwrap().wait().await.unwrap_err();
    assert_eq!(refused(&engine, 1, true).await, FailureKind::Budget);
    assert_eq!(state(&engine, 1), ProductState::Failed);
    assert_eq!(engine.jobs().len(), 1);
    until("the ledger has it", || engine.ledger().jobs().unwrap().len() == 1).await;
}

#[tokio::test(start_paused = true)]
async fn another_order_budget_and_package_size_hold_at_once() {
    let mut house = House::new();
    let engine = budget(&mut house, 1);
    engine.request(&target(1), 7, false).unwrap().wait().await.unwrap();
    assert_eq!(refused(&engine, 2, true).await, FailureKind::Budget);
    house.options.orders_per_hour = 3;
    engine.follow(house.options.clone());
    engine.request(&target(2), 7, true).unwrap().wait().await.unwrap();
    house.options.max_package = Some(999);
    engine.follow(house.options.clone());
    assert_eq!(refused(&engine, 3, true).await, FailureKind::NoSpace);
}
