//! How often the service is asked: soon enough for small products, seldom enough for long queues.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::fake::{FakeService, House, Stage, nonsense, target, until};
use crate::clms::ClmsError;
use crate::fetch::poller::{News, Pace, Poller};
use crate::fetch::service::Service;

const PACE: Pace = Pace { min: Duration::from_millis(500), max: Duration::from_secs(75) };

/// Requests for the state of tasks, all kinds together.
fn questions(house: &House) -> usize {
    house.service.polls() + house.service.searches()
}

fn poller(house: &House) -> Poller {
    let service: Arc<dyn Service> = Arc::<FakeService>::clone(&house.service);
    Poller::start(service, PACE)
}

/// A poller that follows `tasks` tasks that never end; they begin a minute after one another.
async fn follow(house: &House, tasks: u32) -> (Poller, Vec<tokio::sync::mpsc::UnboundedReceiver<News>>) {
    let poller = poller(house);
    let mut news = Vec::new();
    for number in 0..tasks {
        let task = house.service.has_task(&target(number), &[Stage::Queued], Timestamp::now());
        news.push(poller.follow(&task));
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
    (poller, news)
}

#[tokio::test(start_paused = true)]
async fn a_product_is_seen_a_second_after_its_end_in_the_first_minutes() {
    for seconds in [0.3, 1.0, 2.5, 7.0, 19.0, 45.0, 61.5, 90.0, 119.0, 150.0, 178.0] {
        let house = House::new();
        let poller = poller(&house);
        let ends = Instant::now() + Duration::from_secs_f64(seconds);
        let task = house.service.has_task(&target(1), &[Stage::DoneAt(ends)], Timestamp::now());
        let mut news = poller.follow(&task);
        loop {
            match news.recv().await.unwrap() {
                News::Task(task) if !task.download_urls.is_empty() => break,
                News::Task(_) => {}
                other => panic!("{other:?}"),
            }
        }
        let late = ends.elapsed();
        assert!(late <= Duration::from_millis(1200), "finished after {seconds} s, seen {late:?} later");
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_of_hours_costs_less_than_a_request_a_minute_whatever_the_number_of_tasks() {
    for tasks in [1, 2, 3, 7, 40] {
        let house = House::new();
        let (_poller, _news) = follow(&house, tasks).await;
        tokio::time::sleep(Duration::from_secs(1800)).await;
        let before = questions(&house);
        tokio::time::sleep(Duration::from_secs(4 * 3600)).await;
        let asked = questions(&house) - before;
        assert!(asked < 240, "{asked} requests in 240 minutes for {tasks} tasks");
        assert!(asked > 120, "{asked} requests in 240 minutes for {tasks} tasks");
    }
}

#[tokio::test(start_paused = true)]
async fn many_young_tasks_cost_about_as_much_as_one() {
    for tasks in [3, 4, 12, 50] {
        let house = House::new();
        let poller = poller(&house);
        let mut news = Vec::new();
        for number in 0..tasks {
            let task = house.service.has_task(&target(number), &[Stage::Queued], Timestamp::now());
            news.push(poller.follow(&task));
            tokio::time::sleep(Duration::from_millis(170)).await;
        }
        let before = questions(&house);
        tokio::time::sleep(Duration::from_secs(120)).await;
        let asked = questions(&house) - before;
        assert!(asked < 200, "{asked} requests in 120 s for {tasks} tasks");
    }
}

#[tokio::test(start_paused = true)]
async fn a_search_that_is_of_no_use_does_not_keep_tasks_from_being_seen() {
    for error in [ClmsError::Server { status: 500, msg: String::new(), retry_after: None }, nonsense()] {
        let house = House::new();
        let engine = house.engine();
        let tickets: Vec<_> = (0..5).map(|n| engine.request(&target(n), 7, false).unwrap()).collect();
        until("all are ordered", || house.service.orders() == 5).await;
        house.service.world().searches = vec![Some(error); 999].into();
        let before = Instant::now();
        for ticket in tickets {
            ticket.wait().await.unwrap();
        }
        assert!(before.elapsed() < Duration::from_secs(20), "{:?}", before.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_young_task_beside_old_ones_does_not_make_them_expensive() {
    let house = House::new();
    let (poller, _news) = follow(&house, 2).await;
    tokio::time::sleep(Duration::from_secs(3600)).await;
    let searches = house.service.searches();
    let task = house.service.has_task(&target(9), &[Stage::Queued], Timestamp::now());
    let _young = poller.follow(&task);
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert!(house.service.searches() - searches <= 3, "{} searches", house.service.searches() - searches);
}

#[tokio::test(start_paused = true)]
async fn a_wait_does_not_begin_anew_when_the_task_starts_to_run() {
    let house = House::new();
    let start = Instant::now() + Duration::from_secs(2 * 3600);
    house.service.world().lives = [vec![Stage::RunningFrom(start)]].into();
    let engine = house.engine();
    let _ticket = engine.request(&target(1), 7, false).unwrap();
    tokio::time::sleep(Duration::from_secs(2 * 3600 - 60)).await;
    let before = questions(&house);
    tokio::time::sleep(Duration::from_secs(1800)).await;
    let asked = questions(&house) - before;
    assert!(asked < 36, "{asked} requests in 30 minutes, a minute at most between two");
    assert_eq!(engine.product_state(&target(1).key), crate::fetch::state::ProductState::Running);
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_honoured_with_429_and_503() {
    let wait = Duration::from_secs(900);
    for error in [
        ClmsError::RateLimited { retry_after: Some(wait) },
        ClmsError::Server { status: 503, msg: String::new(), retry_after: Some(wait) },
    ] {
        let house = House::new();
        let poller = poller(&house);
        let life = [Stage::Queued, Stage::Fails(error), Stage::Done];
        let task = house.service.has_task(&target(1), &life, Timestamp::now());
        let mut news = poller.follow(&task);
        assert!(matches!(news.recv().await, Some(News::Task(_))));
        assert!(matches!(news.recv().await, Some(News::Delayed(_))));
        let before = Instant::now();
        assert!(matches!(news.recv().await, Some(News::Task(_))));
        assert!(before.elapsed() >= wait);
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_that_limits_the_rate_is_asked_more_slowly_for_a_while() {
    let house = House::new();
    let poller = poller(&house);
    let limited = || Stage::Fails(ClmsError::RateLimited { retry_after: None });
    let life = [limited(), limited(), Stage::Queued];
    let task = house.service.has_task(&target(1), &life, Timestamp::now());
    let _news = poller.follow(&task);
    tokio::time::sleep(Duration::from_secs(20)).await;
    let before = questions(&house);
    tokio::time::sleep(Duration::from_secs(20)).await;
    let slowed = questions(&house) - before;
    assert!(slowed <= 10, "{slowed} requests in 20 s");
    tokio::time::sleep(Duration::from_secs(60)).await;
    let before = questions(&house);
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert!(questions(&house) - before >= 17, "it is forgotten after a while");
}

#[tokio::test(start_paused = true)]
async fn a_slow_answer_about_one_task_does_not_hold_up_another() {
    let house = House::new();
    let slow = Stage::Slow(Duration::from_secs(240), super::fake::unreachable());
    house.service.world().lives = [vec![slow], vec![Stage::Queued, Stage::Running, Stage::Done]].into();
    let engine = house.engine();
    let _slow = engine.request(&target(1), 7, false).unwrap();
    until("the slow one is asked for", || house.service.polls() == 1).await;
    let before = Instant::now();
    engine.request(&target(2), 7, false).unwrap().wait().await.unwrap();
    assert!(before.elapsed() < Duration::from_secs(10), "{:?}", before.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_slow_search_does_not_hold_up_the_questions_for_single_tasks() {
    let house = House::new();
    let engine = house.engine();
    let tickets: Vec<_> = (0..5).map(|n| engine.request(&target(n), 7, false).unwrap()).collect();
    until("all are ordered", || house.service.orders() == 5).await;
    house.service.world().slow_searches = Duration::from_secs(240);
    let before = Instant::now();
    for ticket in tickets {
        ticket.wait().await.unwrap();
    }
    assert!(before.elapsed() < Duration::from_secs(60), "{:?}", before.elapsed());
}

#[tokio::test(start_paused = true)]
async fn questions_that_are_never_answered_do_not_pile_up() {
    let house = House::new();
    let poller = poller(&house);
    let hang = || Stage::Slow(Duration::from_secs(240), super::fake::unreachable());
    house.service.world().searches = vec![Some(nonsense()); 999].into();
    let mut news = Vec::new();
    for number in 0..40 {
        let task = house.service.has_task(&target(number), &[hang()], Timestamp::now());
        news.push(poller.follow(&task));
    }
    tokio::time::sleep(Duration::from_secs(200)).await;
    assert!(house.service.polls() <= 3, "{} single questions at a time", house.service.polls());
}

#[tokio::test(start_paused = true)]
async fn another_pace_holds_for_waits_that_have_begun() {
    let house = House::new();
    let (poller, _news) = follow(&house, 1).await;
    tokio::time::sleep(Duration::from_secs(3600)).await;
    let (before, since) = (questions(&house), Instant::now());
    poller.set_pace(Pace { min: Duration::from_millis(500), max: Duration::from_secs(5) });
    tokio::time::sleep(Duration::from_secs(60)).await;
    let asked = questions(&house) - before;
    // an hour old, it was asked for every 75 seconds
    assert!((10..=15).contains(&asked), "{asked} requests in {:?}", since.elapsed());
    poller.set_pace(PACE);
    let before = questions(&house);
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert!(questions(&house) - before <= 10);
}
