//! What seems lost and is not: an order that shows up late is found, not paid for twice.

use std::time::Duration;

use jiff::Timestamp;

use super::fake::{Delivery, Gate, House, OrderAnswer, Stage, nonsense, target, unreachable, until};
use super::flow::state;
use crate::clms::ClmsError;
use crate::fetch::engine::Engine;
use crate::fetch::failure::FailureKind;
use crate::fetch::state::ProductState;

/// Asks again for what was ordered before. The service shows the task five seconds later: it is found.
async fn is_found_late(house: &House, engine: &Engine) {
    let ticket = engine.request(&target(1), 7, true).unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    house.service.has_task(&target(1), &[Stage::Done], Timestamp::now());
    ticket.wait().await.unwrap();
    assert_eq!(house.service.orders(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_order_that_was_sent_is_looked_for_by_the_next_attempt_too() {
    for restarts in [false, true] {
        let house = House::new();
        house.service.world().orders = [OrderAnswer::Lost { registered: false }].into();
        house.service.world().searches = [None, Some(ClmsError::NoCredentials)].into();
        let mut engine = house.engine();
        engine.request(&target(1), 7, false).unwrap().wait().await.unwrap_err();
        assert!(engine.ledger().jobs().unwrap()[0].sent.is_some());
        if restarts {
            engine.shut_down().await;
            drop(engine);
            engine = house.engine();
            engine.resume().unwrap();
        }
        is_found_late(&house, &engine).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_order_that_was_sent_and_cancelled_is_looked_for() {
    for restarts in [false, true] {
        let house = House::new();
        let gate: &Gate = &house.service.order_gate;
        gate.shut();
        house.service.world().orders = [OrderAnswer::Lost { registered: false }].into();
        let mut engine = house.engine();
        let ticket = engine.request(&target(1), 7, false).unwrap();
        until("it is ordered", || house.service.orders() == 1).await;
        assert!(engine.cancel(&target(1).key));
        assert_eq!(ticket.wait().await.unwrap_err().kind, FailureKind::Cancelled);
        if restarts {
            engine.shut_down().await;
            drop(engine);
            engine = house.engine();
            engine.resume().unwrap();
        }
        assert_eq!(state(&engine, 1), ProductState::Cold);
        gate.open();
        is_found_late(&house, &engine).await;
        assert!(engine.ledger().jobs().unwrap().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_away_right_after_an_order_is_borne() {
    let house = House::new();
    house.service.world().orders = [OrderAnswer::Lost { registered: true }].into();
    let mut searches = vec![Some(unreachable()); 5];
    searches.insert(0, None);
    house.service.world().searches = searches.into();
    house.engine().request(&target(1), 7, false).unwrap().wait().await.unwrap();
    assert_eq!(house.service.orders(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_order_that_never_arrived_is_sent_again_once_it_was_looked_for_in_full() {
    let house = House::new();
    house.service.world().orders = [OrderAnswer::Lost { registered: false }].into();
    let engine = house.engine();
    let before = tokio::time::Instant::now();
    engine.request(&target(1), 7, false).unwrap().wait().await.unwrap();
    assert!(before.elapsed() >= Duration::from_secs(20));
    assert_eq!(house.service.orders(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_order_that_is_answered_without_a_task_is_looked_for_and_not_sent_again() {
    let house = House::new();
    house.service.world().orders = [OrderAnswer::WithoutId { registered: false }].into();
    is_found_late(&house, &house.engine()).await;
    let house = House::new();
    house.service.world().orders = [OrderAnswer::WithoutId { registered: false }].into();
    let engine = house.engine();
    engine.request(&target(1), 7, false).unwrap().wait().await.unwrap_err();
    is_found_late(&house, &engine).await;
}

/// A task with this life is waited for, and ordered once.
async fn is_ordered_once(life: &[Stage]) {
    let house = House::new();
    house.service.world().lives = [life.to_vec()].into();
    house.engine().request(&target(1), 7, false).unwrap().wait().await.unwrap();
    assert_eq!(house.service.orders(), 1, "{life:?}");
}

#[tokio::test(start_paused = true)]
async fn a_task_whose_state_comes_later_than_its_order_is_not_lost() {
    let unknown = vec![Stage::Vanished; 6];
    is_ordered_once(&[unknown, vec![Stage::Queued, Stage::Done]].concat()).await;
}

#[tokio::test(start_paused = true)]
async fn a_finished_task_whose_link_comes_later_is_waited_for() {
    is_ordered_once(&[Stage::DoneWithoutLink, Stage::DoneWithoutLink, Stage::Done]).await;
}

#[tokio::test(start_paused = true)]
async fn a_task_that_does_not_name_its_file_is_ours_all_the_same() {
    is_ordered_once(&[Stage::Queued, Stage::DoneWithoutFile]).await;
}

#[tokio::test(start_paused = true)]
async fn a_file_that_comes_later_than_its_link_is_waited_for() {
    for seconds in [1, 5, 25] {
        let house = House::new();
        let comes = tokio::time::Instant::now() + Duration::from_secs(seconds);
        house.service.world().last_download = Delivery::LostUntil(comes);
        house.engine().request(&target(1), 7, false).unwrap().wait().await.unwrap();
        assert_eq!(house.service.orders(), 1, "{seconds} s");
    }
}

/// A link that is refused in whatever words is replaced, once.
#[tokio::test(start_paused = true)]
async fn a_link_that_is_refused_for_good_is_ordered_again() {
    for error in [ClmsError::Refused { status: 408, msg: String::new() }, nonsense()] {
        let house = House::new();
        house.service.world().last_download = Delivery::Fails(error);
        let engine = house.engine();
        let failure = engine.request(&target(1), 7, false).unwrap().wait().await.unwrap_err();
        assert_eq!((failure.kind, house.service.orders()), (FailureKind::Service, 2));
    }
}

/// A host that cannot be reached is asked again with every attempt, until its link is too old to come back.
#[tokio::test(start_paused = true)]
async fn a_file_host_that_is_gone_is_waited_for_as_long_as_its_link_is_good() {
    let house = House::new();
    house.service.world().last_download = Delivery::Fails(unreachable());
    let engine = house.engine();
    for _ in 0..3 {
        let failure = engine.request(&target(1), 7, true).unwrap().wait().await.unwrap_err();
        assert_eq!((failure.kind, house.service.orders()), (FailureKind::Offline, 1));
    }
    engine.shut_down().await;
    let mut job = engine.ledger().jobs().unwrap().remove(0);
    job.linked = Some(job.linked.unwrap() - 73 * 3600 * 1000);
    engine.ledger().save_job(&job).unwrap();
    drop(engine);
    let engine = house.engine();
    engine.resume().unwrap();
    let failure = engine.request(&target(1), 7, true).unwrap().wait().await.unwrap_err();
    assert_eq!((failure.kind, house.service.orders()), (FailureKind::Offline, 2), "the new link is young");
}
