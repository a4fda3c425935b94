//! The straight way, single flight, adoption, cancellation.

use std::time::Duration;

use jiff::Timestamp;

use super::fake::{Call, Gate, House, Stage, package, target, until};
use crate::fetch::engine::{Change, Engine, Refusal};
use crate::fetch::failure::FailureKind;
use crate::fetch::state::ProductState;

pub(super) fn state(engine: &Engine, number: u32) -> ProductState {
    engine.product_state(&target(number).key)
}

#[tokio::test(start_paused = true)]
async fn the_straight_way() {
    let house = House::new();
    let engine = house.engine();
    let mut changes = engine.changes();
    assert_eq!(state(&engine, 1), ProductState::Cold);
    let ticket = engine.request(&target(1), 7, false).unwrap();
    assert_eq!(ticket.progress().state, ProductState::Ordered);
    ticket.wait().await.unwrap();
    assert_eq!(state(&engine, 1), ProductState::Ready);
    let Change::Ready { path, .. } = changes.recv().await.unwrap() else { panic!("it became ready") };
    assert_eq!(path, "dataset/product-1");
    assert_eq!(house.service.orders(), 1);
    assert_eq!(house.service.downloads(), [0]);
    assert_eq!(*house.converter.packages.lock().unwrap(), [package(1000)]);
    assert!(house.staged().is_empty());
    assert_eq!(engine.inventory().usage().reserved, 0);
    assert!(engine.ledger().jobs().unwrap().is_empty());
    assert!(engine.jobs().is_empty());
    let counters = engine.counters();
    assert_eq!((counters.published.get(), counters.failed.get()), (1, 0));
    // ready products cost no call
    let calls = house.service.calls();
    engine.request(&target(1), 7, false).unwrap().wait().await.unwrap();
    assert_eq!(house.service.calls(), calls);
}

#[tokio::test(start_paused = true)]
async fn waiters_are_let_in_when_every_listener_has_done_its_part() {
    let house = House::new();
    let engine = house.engine();
    let (mut first, mut second) = (engine.changes(), engine.changes());
    let ticket = engine.request(&target(1), 7, false).unwrap();
    let waiting = tokio::spawn(ticket.wait());
    let Change::Ready { heard, .. } = first.recv().await.unwrap() else { panic!("it became ready") };
    let Change::Ready { heard: other, .. } = second.recv().await.unwrap() else { panic!("it became ready") };
    // whoever asks now finds it ready, but who has waited is not told yet
    assert_eq!(state(&engine, 1), ProductState::Ready);
    drop(heard);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!waiting.is_finished());
    drop(other);
    waiting.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_listener_that_has_gone_astray_keeps_nobody_waiting_for_ever() {
    let house = House::new();
    let engine = house.engine();
    let _never_asked = engine.changes();
    engine.request(&target(1), 7, false).unwrap().wait().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn every_state_of_the_way_is_seen() {
    let house = House::new();
    let (service, converter) = (&house.service, &house.converter);
    service.world().lives =
        [vec![Stage::Queued, Stage::Queued, Stage::Running, Stage::Running, Stage::Done]].into();
    let engine = house.engine();
    let seen = async |wanted: ProductState| until(wanted.as_str(), || state(&engine, 1) == wanted).await;
    service.order_gate.shut();
    let ticket = engine.request(&target(1), 7, false).unwrap();
    seen(ProductState::Ordered).await;
    service.order_gate.open();
    seen(ProductState::Queued).await;
    seen(ProductState::Running).await;
    assert_eq!(engine.progress(&target(1).key).task.as_deref(), Some("1001"));
    service.half_gate.shut();
    seen(ProductState::Downloading).await;
    until("half of it is here", || engine.progress(&target(1).key).fraction == Some(0.5)).await;
    assert_eq!(engine.progress(&target(1).key).bytes, Some((500, Some(1000))));
    let lines = engine.jobs();
    assert_eq!((lines.len(), lines[0].waiting, lines[0].uid), (1, 1, 7));
    converter.gate.shut();
    service.half_gate.open();
    seen(ProductState::Extracting).await;
    converter.gate.open();
    ticket.wait().await.unwrap();
    seen(ProductState::Ready).await;
}

#[tokio::test(start_paused = true)]
async fn fifty_readers_cost_one_order_one_download_one_conversion() {
    let house = House::new();
    let engine = house.engine();
    house.service.order_gate.shut();
    let readers: Vec<_> = (0..50)
        .map(|uid| {
            let engine = engine.clone();
            tokio::spawn(async move { engine.request(&target(1), uid, false).unwrap().wait().await })
        })
        .collect();
    until("fifty wait", || engine.jobs().first().is_some_and(|line| line.waiting == 50)).await;
    house.service.order_gate.open();
    for reader in readers {
        reader.await.unwrap().unwrap();
    }
    assert_eq!((house.service.orders(), house.service.downloads().len()), (1, 1));
    assert_eq!(house.converter.conversions(), 1);
    assert_eq!(engine.counters().fetches.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn many_products_at_once_all_arrive() {
    let house = House::new();
    let engine = house.engine();
    let tickets: Vec<_> = (0..12).map(|n| engine.request(&target(n), 7, false).unwrap()).collect();
    for ticket in tickets {
        ticket.wait().await.unwrap();
    }
    assert_eq!((house.service.orders(), house.converter.conversions()), (12, 12));
    assert_eq!(engine.inventory().usage().reserved, 0);
}

#[tokio::test(start_paused = true)]
async fn a_fresh_finished_task_is_adopted() {
    let house = House::new();
    house.service.has_task(&target(2), &[Stage::Done], Timestamp::now());
    let task = house.service.has_task(&target(1), &[Stage::Done], Timestamp::now());
    let engine = house.engine();
    engine.request(&target(1), 7, false).unwrap().wait().await.unwrap();
    assert_eq!(house.service.orders(), 0);
    let download = Call::Download { url: format!("http://127.0.0.1/{task}.zip"), from: 0 };
    assert!(house.service.calls().contains(&download));
}

#[tokio::test(start_paused = true)]
async fn an_open_task_is_adopted_and_waited_for() {
    let house = House::new();
    house.service.has_task(&target(1), &[Stage::Running, Stage::Running, Stage::Done], Timestamp::now());
    let engine = house.engine();
    engine.request(&target(1), 7, false).unwrap().wait().await.unwrap();
    assert_eq!(house.service.orders(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_stale_finished_task_is_not_trusted() {
    let house = House::new();
    let long_ago = Timestamp::now() - Duration::from_secs(25 * 3600);
    house.service.has_task(&target(1), &[Stage::Done], long_ago);
    let engine = house.engine();
    engine.request(&target(1), 7, false).unwrap().wait().await.unwrap();
    assert_eq!(house.service.orders(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_queued_task_with_a_link_is_finished() {
    let house = House::new();
    house.service.world().lives = [vec![Stage::Queued, Stage::QueuedWithLink]].into();
    let engine = house.engine();
    engine.request(&target(1), 7, false).unwrap().wait().await.unwrap();
    assert_eq!((house.service.orders(), house.service.downloads().len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_fetch_tells_its_waiters_and_the_service() {
    let house = House::new();
    house.service.world().lives = [vec![Stage::Queued]].into();
    let engine = house.engine();
    let key = target(1).key;
    assert!(!engine.cancel(&key), "nothing is under way");
    let waiters: Vec<_> = (0..3).map(|_| engine.request(&target(1), 7, false).unwrap()).collect();
    until("it is polled", || house.service.polls() > 0).await;
    assert!(engine.cancel(&key));
    for waiter in waiters {
        assert_eq!(waiter.wait().await.unwrap_err().kind, FailureKind::Cancelled);
    }
    until("the service is told", || !house.service.cancels().is_empty()).await;
    assert_eq!(house.service.cancels()[0].as_str(), "1001");
    assert_eq!(state(&engine, 1), ProductState::Cold);
    assert!(engine.progress(&key).error.unwrap().contains("cancelled by the user"));
    assert!(engine.ledger().jobs().unwrap().is_empty());
    assert_eq!(engine.inventory().usage().reserved, 0);
}

#[tokio::test(start_paused = true)]
async fn a_cancellation_that_hangs_at_the_service_holds_up_nobody() {
    let house = House::new();
    house.service.world().lives = [vec![Stage::Queued], vec![Stage::Done]].into();
    house.service.cancel_gate.shut();
    let engine = house.engine();
    let waiter = engine.request(&target(1), 7, false).unwrap();
    until("it is polled", || house.service.polls() > 0).await;
    let before = tokio::time::Instant::now();
    engine.cancel(&target(1).key);
    assert_eq!(waiter.wait().await.unwrap_err().kind, FailureKind::Cancelled);
    assert!(before.elapsed() < Duration::from_secs(1));
    engine.request(&target(2), 7, false).unwrap().wait().await.unwrap();
    assert_eq!(state(&engine, 2), ProductState::Ready);
    let task = house.service.cancels()[0].clone();
    assert_eq!(engine.cancel_task(&task).await.unwrap_err().kind, FailureKind::Offline);
}

#[tokio::test(start_paused = true)]
async fn a_download_or_conversion_is_cancelled_without_a_trace() {
    for at in [ProductState::Downloading, ProductState::Extracting] {
        let house = House::new();
        let gate: &Gate =
            if at == ProductState::Downloading { &house.service.half_gate } else { &house.converter.gate };
        gate.shut();
        let engine = house.engine();
        let waiter = engine.request(&target(1), 7, false).unwrap();
        until("it is there", || state(&engine, 1) == at).await;
        engine.cancel(&target(1).key);
        assert_eq!(waiter.wait().await.unwrap_err().kind, FailureKind::Cancelled);
        assert!(house.staged().is_empty(), "{at}");
        assert_eq!(engine.inventory().usage().reserved, 0, "{at}");
        gate.open();
        engine.request(&target(1), 7, false).unwrap().wait().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_is_served_by_an_engine_that_has_ended() {
    let house = House::new();
    house.service.order_gate.shut();
    let engine = house.engine();
    let waiter = engine.request(&target(1), 7, false).unwrap();
    until("it is ordered", || house.service.orders() == 1).await;
    engine.shut_down().await;
    assert_eq!(waiter.wait().await.unwrap_err().kind, FailureKind::Cancelled);
    assert_eq!(engine.request(&target(2), 7, false).unwrap_err(), Refusal::ShuttingDown);
    assert_eq!(engine.ledger().jobs().unwrap().len(), 1, "the ledger keeps it");
}
