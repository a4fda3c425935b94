//! What the service can do wrong, and how many calls it may cost.

use std::time::Duration;

use jiff::Timestamp;

use super::fake::{
    Call, Conversion, Delivery, House, OrderAnswer, Stage, nonsense, target, unreachable, until,
};
use super::flow::state;
use crate::clms::{ClmsError, TaskId};
use crate::fetch::engine::Engine;
use crate::fetch::failure::{Failure, FailureKind};
use crate::fetch::state::ProductState;
use crate::ingest::IngestError;

async fn fetch(engine: &Engine) -> Result<(), Failure> {
    engine.request(&target(1), 7, true).unwrap().wait().await
}

async fn fails(engine: &Engine) -> Failure {
    let failure = fetch(engine).await.unwrap_err();
    assert_eq!(state(engine, 1), ProductState::Failed);
    assert_eq!(engine.progress(&target(1).key).error, Some(failure.message.clone()));
    failure
}

fn refused() -> ClmsError {
    ClmsError::Refused { status: 400, msg: "no".to_owned() }
}

#[tokio::test(start_paused = true)]
async fn an_order_whose_answer_is_lost_is_found_and_not_sent_again() {
    for answer in [OrderAnswer::Lost { registered: true }, OrderAnswer::WithoutId { registered: true }] {
        let house = House::new();
        house.service.world().orders = [answer].into();
        let engine = house.engine();
        fetch(&engine).await.unwrap();
        assert_eq!(house.service.orders(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn an_order_that_never_arrived_is_sent_again_unless_the_service_said_yes() {
    let house = House::new();
    house.service.world().orders = [OrderAnswer::Lost { registered: false }].into();
    let engine = house.engine();
    fetch(&engine).await.unwrap();
    assert_eq!(house.service.orders(), 2);

    let house = House::new();
    house.service.world().orders = vec![OrderAnswer::WithoutId { registered: false }; 9].into();
    let engine = house.engine();
    let failure = fails(&engine).await;
    assert_eq!(failure.kind, FailureKind::Service);
    assert!(failure.message.contains("shows no task"), "{failure}");
    assert_eq!(house.service.orders(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_refused_order_withdraws_the_task_it_leaves_behind() {
    for named in [true, false] {
        let house = House::new();
        house.service.world().orders = [OrderAnswer::Refused { named }].into();
        let engine = house.engine();
        let failure = fails(&engine).await;
        assert_eq!(failure.kind, FailureKind::Service);
        assert!(failure.message.contains("refused the order"), "{failure}");
        assert_eq!(house.service.cancels(), [TaskId::parse("1001").unwrap()], "named: {named}");
        assert_eq!(house.service.orders(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_duplicate_names_the_twins() {
    let house = House::new();
    let twins = [(); 2].map(|()| house.service.has_task(&target(2), &[Stage::Queued], Timestamp::now()));
    house.service.world().orders = [OrderAnswer::Duplicate].into();
    let engine = house.engine();
    let failure = fails(&engine).await;
    assert_eq!(failure.kind, FailureKind::Service);
    for twin in twins {
        assert!(failure.message.contains(twin.as_str()), "{failure}");
    }
    assert_eq!(house.service.orders(), 1);
}

#[tokio::test(start_paused = true)]
async fn refused_credentials_and_an_unreachable_service_are_told_apart() {
    for (error, kind) in [
        (ClmsError::NoCredentials, FailureKind::Credentials),
        (ClmsError::CredentialsRefused { reason: "gone".to_owned() }, FailureKind::Credentials),
        (unreachable(), FailureKind::Offline),
        (refused(), FailureKind::Service),
    ] {
        let house = House::new();
        house.service.world().searches = [Some(error.clone())].into();
        let engine = house.engine();
        assert_eq!(fails(&engine).await.kind, kind);
        assert_eq!(house.service.orders(), 0, "nothing is ordered blindly");

        let house = House::new();
        house.service.world().orders = [OrderAnswer::Fails(error)].into();
        let engine = house.engine();
        assert_eq!(fails(&engine).await.kind, kind);
        assert_eq!(house.service.orders(), 1);
        fetch(&engine).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_link_is_asked_for_again_then_ordered_again_then_given_up() {
    for (lost, orders, arrives) in [(1, 1, true), (4, 1, true), (5, 2, true), (9, 2, true), (99, 2, false)] {
        let house = House::new();
        house.service.world().downloads = vec![Delivery::Lost; lost].into();
        let engine = house.engine();
        let result = fetch(&engine).await;
        assert_eq!(result.is_ok(), arrives, "{lost} times lost");
        assert_eq!(house.service.orders(), orders, "{lost} times lost");
        assert!(house.service.downloads().len() <= 10);
        if let Err(failure) = result {
            assert_eq!(failure.kind, FailureKind::Service);
            assert!(house.staged().is_empty());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_web_page_is_a_lost_link() {
    let house = House::new();
    house.service.world().last_download = Delivery::Html;
    let engine = house.engine();
    let failure = fails(&engine).await;
    assert_eq!(failure.kind, FailureKind::Service);
    assert!(failure.message.contains("zip"), "{failure}");
    assert_eq!((house.service.orders(), house.converter.conversions()), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn a_vanished_task_is_ordered_again_once() {
    for stage in [Stage::Vanished, Stage::DoneWithoutLink] {
        let house = House::new();
        house.service.world().lives = [vec![Stage::Queued, stage.clone()], vec![Stage::Done]].into();
        let engine = house.engine();
        fetch(&engine).await.unwrap();
        assert_eq!(house.service.orders(), 2);

        let house = House::new();
        house.service.world().lives = [vec![stage]].into();
        let engine = house.engine();
        assert_eq!(fails(&engine).await.kind, FailureKind::Service);
        assert_eq!(house.service.orders(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_of_another_file_is_not_taken_for_ours() {
    let house = House::new();
    let other = house.service.has_task(&target(2), &[Stage::Done], Timestamp::now());
    house.service.world().orders = [OrderAnswer::AcceptAs(other.clone())].into();
    let engine = house.engine();
    fetch(&engine).await.unwrap();
    assert_eq!(house.service.orders(), 2);
    let theirs = format!("http://127.0.0.1/{other}.zip");
    assert!(
        !house
            .service
            .calls()
            .iter()
            .any(|call| matches!(call, Call::Download { url, .. } if *url == theirs))
    );
}

#[tokio::test(start_paused = true)]
async fn a_service_that_always_names_a_task_of_another_file_is_given_up() {
    let house = House::new();
    let other = house.service.has_task(&target(2), &[Stage::Done], Timestamp::now());
    house.service.world().orders = vec![OrderAnswer::AcceptAs(other); 50].into();
    let engine = house.engine();
    assert_eq!(fails(&engine).await.kind, FailureKind::Service);
    assert_eq!(house.service.orders(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_ends_badly_is_not_adopted_and_a_later_wish_orders_anew() {
    for (stage, word) in
        [(Stage::Nok, "Finished_nok"), (Stage::Rejected, "Rejected"), (Stage::Cancelled, "cancelled")]
    {
        let house = House::new();
        house.service.world().lives = [vec![Stage::Queued, stage], vec![Stage::Done]].into();
        let engine = house.engine();
        let failure = fails(&engine).await;
        assert_eq!(failure.kind, FailureKind::Service);
        assert!(failure.message.contains(word), "{failure}");
        assert_eq!(house.service.orders(), 1, "the user decides about another order");
        fetch(&engine).await.unwrap();
        assert_eq!(house.service.orders(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_away_while_polling_does_not_end_the_wait() {
    let house = House::new();
    let mut life = vec![Stage::Queued];
    life.extend(vec![Stage::Fails(unreachable()); 40]);
    life.push(Stage::Fails(ClmsError::Server { status: 503, msg: String::new(), retry_after: None }));
    life.push(Stage::Fails(ClmsError::RateLimited { retry_after: Some(Duration::from_secs(600)) }));
    life.push(Stage::Done);
    house.service.world().lives = [life].into();
    let engine = house.engine();
    let ticket = engine.request(&target(1), 7, false).unwrap();
    until("the trouble is told", || {
        engine.progress(&target(1).key).error.is_some_and(|error| error.contains("waiting for the service"))
    })
    .await;
    let before = tokio::time::Instant::now();
    ticket.wait().await.unwrap();
    assert!(before.elapsed() >= Duration::from_secs(600), "Retry-After is honoured");
    assert_eq!(house.service.orders(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_slip_of_a_proxy_passes_and_lasting_nonsense_ends_the_wait() {
    let life =
        |times| [vec![Stage::Queued], vec![Stage::Fails(nonsense()); times], vec![Stage::Done]].concat();
    let house = House::new();
    house.service.world().lives = [life(4)].into();
    let engine = house.engine();
    let before = tokio::time::Instant::now();
    fetch(&engine).await.unwrap();
    assert!(before.elapsed() > Duration::from_secs(10));

    let house = House::new();
    house.service.world().lives = [life(999)].into();
    let engine = house.engine();
    let before = tokio::time::Instant::now();
    assert_eq!(fails(&engine).await.kind, FailureKind::Service);
    assert!(before.elapsed() >= Duration::from_secs(20));
    assert_eq!(house.service.orders(), 1);
    assert!(house.service.polls() < 12, "{} questions", house.service.polls());
}

#[tokio::test(start_paused = true)]
async fn a_web_page_in_place_of_the_history_is_asked_past_a_few_times() {
    let house = House::new();
    house.service.world().searches = vec![Some(nonsense()); 3].into();
    let engine = house.engine();
    fetch(&engine).await.unwrap();
    let house = House::new();
    house.service.world().searches = vec![Some(nonsense()); 9].into();
    let engine = house.engine();
    assert_eq!(fails(&engine).await.kind, FailureKind::Service);
    assert_eq!((house.service.orders(), house.service.searches()), (0, 4));
}

#[tokio::test(start_paused = true)]
async fn a_question_that_is_refused_for_one_task_does_not_end_the_others() {
    for error in [refused(), nonsense()] {
        let house = House::new();
        let bad = [vec![Stage::Queued; 9], vec![Stage::Fails(error)]].concat();
        let good = [vec![Stage::Queued; 20], vec![Stage::Done]].concat();
        house.service.world().lives = [bad, good].into();
        let engine = house.engine();
        let first = engine.request(&target(1), 7, false).unwrap();
        until("the first is polled", || house.service.polls() > 0).await;
        let second = engine.request(&target(2), 7, false).unwrap();
        second.wait().await.unwrap();
        assert_eq!(first.wait().await.unwrap_err().kind, FailureKind::Service);
    }
}

#[tokio::test(start_paused = true)]
async fn a_wish_for_patience_holds_for_the_next_attempt() {
    let wait = Duration::from_secs(600);
    for error in [
        ClmsError::RateLimited { retry_after: Some(wait) },
        ClmsError::Server { status: 503, msg: String::new(), retry_after: Some(wait) },
    ] {
        let house = House::new();
        house.service.world().searches = [Some(error)].into();
        let engine = house.engine();
        let failure = fails(&engine).await;
        assert!(house.options.patience.retry_at(&failure) - failure.at >= 600_000);
        assert!(engine.request(&target(1), 7, false).is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn a_damaged_package_is_fetched_once_more_and_then_its_task_is_burned() {
    let damaged =
        || Conversion::Fails(IngestError::Damaged { name: "a.tif".to_owned(), reason: "crc".to_owned() });
    let house = House::new();
    house.converter.plan([damaged()]);
    let engine = house.engine();
    fetch(&engine).await.unwrap();
    assert_eq!((house.service.orders(), house.service.downloads().len()), (1, 2));

    let house = House::new();
    house.converter.plan([damaged(), damaged()]);
    let engine = house.engine();
    assert_eq!(fails(&engine).await.kind, FailureKind::Package);
    assert_eq!((house.service.orders(), house.service.downloads().len()), (1, 2));
    assert!(house.staged().is_empty());
    assert_eq!(engine.inventory().usage().reserved, 0);
    // the task stands finished at the service, and is not adopted again
    fetch(&engine).await.unwrap();
    assert_eq!((house.service.orders(), house.service.downloads().len()), (2, 3));
}

#[tokio::test(start_paused = true)]
async fn a_package_that_cannot_be_served_costs_no_second_order() {
    let house = House::new();
    let none = || Conversion::Fails(IngestError::NoGeodata { found: "3 × .txt".to_owned() });
    house.converter.plan([none(), none()]);
    let engine = house.engine();
    for downloads in [1, 2] {
        let failure = fails(&engine).await;
        assert_eq!(failure.kind, FailureKind::Package);
        assert!(failure.message.contains("no raster"), "{failure}");
        assert_eq!((house.service.orders(), house.service.downloads().len()), (1, downloads));
    }
}

#[tokio::test(start_paused = true)]
async fn a_crashed_conversion_is_a_failure_of_this_machine() {
    let disk = |errno| IngestError::Disk { action: "write".to_owned(), reason: "x".to_owned(), errno };
    for (error, kind) in [
        (IngestError::Child { reason: "died of signal 9".to_owned() }, FailureKind::Local),
        (IngestError::Timeout { seconds: 5 }, FailureKind::Local),
        (disk(None), FailureKind::Local),
        (disk(Some(libc::EIO)), FailureKind::Disk),
        (disk(Some(libc::EROFS)), FailureKind::Disk),
        (disk(Some(libc::ENOSPC)), FailureKind::NoSpace),
        (disk(Some(libc::EDQUOT)), FailureKind::NoSpace),
    ] {
        let house = House::new();
        house.converter.plan([Conversion::Fails(error)]);
        let engine = house.engine();
        assert_eq!(fails(&engine).await.kind, kind);
        assert!(house.staged().is_empty());
        fetch(&engine).await.unwrap();
        assert_eq!(house.service.orders(), 1);
    }
}

fn refused_tokens() -> ClmsError {
    ClmsError::TokenRefused { reason: "Unauthorized".to_owned() }
}

#[tokio::test(start_paused = true)]
async fn a_burst_of_refused_tokens_does_not_end_a_wait_and_lasting_refusals_do() {
    let life = |times| {
        [vec![Stage::Queued], vec![Stage::Fails(refused_tokens()); times], vec![Stage::Done]].concat()
    };
    let house = House::new();
    house.service.world().lives = [life(6)].into();
    let engine = house.engine();
    fetch(&engine).await.unwrap();
    assert_eq!(house.service.orders(), 1);

    let house = House::new();
    house.service.world().lives = [life(999)].into();
    let engine = house.engine();
    let before = tokio::time::Instant::now();
    assert_eq!(fails(&engine).await.kind, FailureKind::Credentials);
    assert!(before.elapsed() >= Duration::from_secs(120));
    assert!(house.service.polls() < 15, "{} questions", house.service.polls());
}

#[tokio::test(start_paused = true)]
async fn a_burst_of_refused_tokens_does_not_refuse_an_order_and_lasting_refusals_do() {
    let house = House::new();
    house.service.world().searches = vec![Some(refused_tokens()); 3].into();
    house.service.world().orders = vec![OrderAnswer::Fails(refused_tokens()); 2].into();
    let engine = house.engine();
    fetch(&engine).await.unwrap();
    assert_eq!(house.service.orders(), 3);

    let house = House::new();
    house.service.world().orders = vec![OrderAnswer::Fails(refused_tokens()); 99].into();
    let engine = house.engine();
    assert_eq!(fails(&engine).await.kind, FailureKind::Credentials);
    assert_eq!(house.service.orders(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_is_unknown_for_a_moment_is_not_ordered_again() {
    let house = House::new();
    let life = [Stage::Queued, Stage::Vanished, Stage::Queued, Stage::Vanished, Stage::Running, Stage::Done];
    house.service.world().lives = [life.to_vec()].into();
    let engine = house.engine();
    fetch(&engine).await.unwrap();
    assert_eq!(house.service.orders(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_firewall_in_place_of_the_history_is_asked_past_a_few_times() {
    let firewall = || ClmsError::Refused { status: 403, msg: "a web page".to_owned() };
    let house = House::new();
    house.service.world().searches = vec![Some(firewall()); 3].into();
    let engine = house.engine();
    fetch(&engine).await.unwrap();
    let house = House::new();
    house.service.world().searches = vec![Some(firewall()); 9].into();
    let engine = house.engine();
    assert_eq!(fails(&engine).await.kind, FailureKind::Service);
    assert_eq!((house.service.orders(), house.service.searches()), (0, 4));
}
