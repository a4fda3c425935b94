//! Crashes and restarts: nothing is ordered twice, nothing is forgotten, nothing foreign stays.

use jiff::Timestamp;

use super::fake::{Conversion, Delivery, Gate, House, Stage, target, unreachable, until};
use super::flow::state;
use crate::fetch::engine::Engine;
use crate::fetch::failure::FailureKind;
use crate::fetch::job::Step;
use crate::fetch::state::ProductState;
use crate::ingest::IngestError;
use crate::store::layout::disk_usage;

/// Moments at which a fetch can be stopped: the gate that holds it there, and the step in the ledger.
pub(super) const MOMENTS: [&str; 5] = ["order", "poll", "link", "download", "convert"];

pub(super) fn gate<'a>(house: &'a House, moment: &str) -> &'a Gate {
    match moment {
        "order" => &house.service.order_gate,
        "poll" => &house.service.poll_gate,
        "link" => &house.service.download_gate,
        "download" => &house.service.half_gate,
        _ => &house.converter.gate,
    }
}

pub(super) fn is_there(house: &House, moment: &str) -> bool {
    let service = &house.service;
    match moment {
        "order" => service.orders() == 1,
        "poll" => service.polls() > 0,
        "link" => service.downloads().len() == 1,
        "download" => {
            let part = house.staging(&target(1)).join("package.part");
            part.metadata().is_ok_and(|part| part.len() == 500)
        }
        _ => house.converter.conversions() == 1,
    }
}

async fn run_into(house: &House, engine: &Engine, moment: &str) {
    gate(house, moment).shut();
    engine.resume().unwrap();
    engine.request(&target(1), 7, false).unwrap();
    until(moment, || is_there(house, moment)).await;
}

async fn arrives(house: &House, engine: &Engine) {
    engine.resume().unwrap();
    until("it arrives", || state(engine, 1) == ProductState::Ready).await;
    until("the books are closed", || engine.ledger().jobs().unwrap().is_empty()).await;
    assert_eq!(engine.inventory().usage().reserved, 0);
    assert!(house.staged().is_empty());
    assert_eq!(house.service.orders(), 1);
}

/// Packages that waited for their conversion when the daemon was killed were counted only when their turn came: several
/// fetches together wrote more than the cache's budget.
#[test]
fn what_a_killed_run_left_in_staging_counts_from_the_start() {
    let house = House::new();
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime().block_on(async { run_into(&house, &house.engine(), "convert").await });
    let orphan = house.staging(&target(2));
    std::fs::create_dir_all(&orphan).unwrap();
    std::fs::write(orphan.join("package.zip"), vec![7; 1 << 20]).unwrap();
    let staged = disk_usage(&house.staging(&target(1)));
    assert!(staged > 0);
    runtime().block_on(async {
        let engine = house.engine();
        engine.resume().unwrap();
        assert!(
            engine.inventory().usage().reserved >= staged + (1 << 20),
            "{:?}",
            engine.inventory().usage()
        );
        engine.sweep();
        assert!(engine.inventory().usage().reserved < staged + (1 << 20));
        house.converter.gate.open();
        arrives(&house, &engine).await;
    });
}

#[test]
fn a_killed_fetch_goes_on_from_every_step_without_a_second_order() {
    for moment in MOMENTS {
        let house = House::new();
        // the runtime ends with everything in the air
        house.life(async { run_into(&house, &house.engine(), moment).await });
        gate(&house, moment).open();
        house.life(async { arrives(&house, &house.engine()).await });
        match moment {
            "download" => assert_eq!(house.service.downloads().len(), 2),
            "convert" => assert_eq!(house.service.downloads(), [0], "the package is here already"),
            _ => {}
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_suspended_fetch_goes_on_from_every_step_without_a_second_order() {
    for moment in MOMENTS {
        let house = House::new();
        let engine = house.engine();
        run_into(&house, &engine, moment).await;
        engine.shut_down().await;
        let jobs = engine.ledger().jobs().unwrap();
        assert_eq!(jobs.len(), 1, "{moment}");
        assert!(!matches!(jobs[0].step, Step::Failed(_)), "{moment}");
        assert!(house.service.cancels().is_empty(), "a suspended task stays at the service");
        assert_eq!(engine.inventory().usage().reserved, 0);
        drop(engine);
        gate(&house, moment).open();
        arrives(&house, &house.engine()).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_entry_that_was_published_just_before_the_crash_is_ready() {
    let house = House::new();
    let engine = house.engine();
    engine.request(&target(1), 7, false).unwrap().wait().await.unwrap();
    // as if the ledger had not been told
    let mut job = engine.ledger().jobs().unwrap();
    assert!(job.is_empty());
    job.push(crate::fetch::job::tests::job());
    job[0].key = target(1).key;
    job[0].step = Step::Convert;
    engine.ledger().save_job(&job[0]).unwrap();
    engine.shut_down().await;
    drop(engine);
    let calls = house.service.calls();
    let engine = house.engine();
    arrives(&house, &engine).await;
    assert_eq!(house.service.calls(), calls);
}

#[tokio::test(start_paused = true)]
async fn a_fetch_that_failed_offline_asks_for_the_link_once_more_and_orders_nothing() {
    let house = House::new();
    house.service.world().downloads = vec![Delivery::Fails(unreachable()); 5].into();
    let engine = house.engine();
    let failure = engine.request(&target(1), 7, false).unwrap().wait().await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Offline);
    engine.shut_down().await;
    drop(engine);
    let (searches, polls) = (house.service.searches(), house.service.polls());
    let engine = house.engine();
    engine.resume().unwrap();
    assert_eq!(state(&engine, 1), ProductState::Failed, "nothing is retried by itself");
    assert_eq!(engine.progress(&target(1).key).error, Some(failure.message));
    engine.request(&target(1), 7, true).unwrap().wait().await.unwrap();
    assert_eq!((house.service.searches(), house.service.polls()), (searches, polls + 1));
    assert_eq!((house.service.orders(), house.service.downloads().len()), (1, 6));
}

#[tokio::test(start_paused = true)]
async fn a_burned_task_stays_burned_over_a_restart() {
    let house = House::new();
    let damaged =
        || Conversion::Fails(IngestError::Damaged { name: "a".to_owned(), reason: "crc".to_owned() });
    house.converter.plan([damaged(), damaged()]);
    let engine = house.engine();
    engine.request(&target(1), 7, false).unwrap().wait().await.unwrap_err();
    engine.shut_down().await;
    drop(engine);
    let engine = house.engine();
    engine.resume().unwrap();
    engine.request(&target(1), 7, true).unwrap().wait().await.unwrap();
    assert_eq!(house.service.orders(), 2);
}

#[tokio::test(start_paused = true)]
async fn staging_of_nobody_is_swept_and_that_of_a_job_is_kept() {
    let house = House::new();
    let engine = house.engine();
    run_into(&house, &engine, "convert").await;
    engine.shut_down().await;
    drop(engine);
    let staging = house.dir.path().join("staging");
    for foreign in ["somebody-else/unpacked", ".trash-1-1"] {
        std::fs::create_dir_all(staging.join(foreign)).unwrap();
    }
    let engine = house.engine();
    engine.resume().unwrap();
    engine.sweep();
    assert_eq!(house.staged(), [target(1).key.as_str()]);
    house.converter.gate.open();
    until("it arrives", || state(&engine, 1) == ProductState::Ready).await;
    assert_eq!(house.service.downloads(), [0]);
}

#[tokio::test(start_paused = true)]
async fn pins_and_last_uses_survive() {
    let house = House::new();
    let engine = house.engine();
    for number in [1, 2] {
        engine.request(&target(number), 7, false).unwrap().wait().await.unwrap();
    }
    engine.pin(&target(1).key, "dataset/product-1", true).unwrap();
    engine.pin(&target(3).key, "dataset/product-3", true).unwrap();
    drop(engine.inventory().lease(&target(2).key).unwrap());
    engine.shut_down().await;
    let before = engine.inventory().holdings();
    drop(engine);
    let engine = house.engine();
    assert_eq!(engine.inventory().holdings(), before);
    assert!(engine.inventory().is_pinned(&target(1).key));
    assert!(engine.inventory().is_pinned(&target(3).key), "pinned before it was ever here");
    assert!(!engine.inventory().is_pinned(&target(2).key));
}

#[tokio::test(start_paused = true)]
async fn a_finished_task_of_the_last_run_is_found_without_a_ledger() {
    let house = House::new();
    let engine = house.engine();
    run_into(&house, &engine, "link").await;
    engine.shut_down().await;
    engine.ledger().forget_job(&target(1).key).unwrap();
    drop(engine);
    house.service.download_gate.open();
    house.service.has_task(&target(2), &[Stage::Done], Timestamp::now());
    let engine = house.engine();
    engine.resume().unwrap();
    engine.request(&target(1), 7, false).unwrap().wait().await.unwrap();
    assert_eq!(house.service.orders(), 1);
}
