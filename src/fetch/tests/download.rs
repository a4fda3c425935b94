//! Downloads: resumed at the right byte, never spliced wrongly, never for ever.

use super::fake::{Delivery, House, Stage, package, target, unreachable, until};
use super::flow::state;
use crate::clms::ClmsError;
use crate::fetch::failure::FailureKind;
use crate::fetch::state::ProductState;

/// Offsets at which downloads began, and whether the package came whole.
async fn downloads(deliveries: Vec<Delivery>) -> (Vec<u64>, Result<(), FailureKind>) {
    let house = House::new();
    house.service.world().downloads = deliveries.into();
    let engine = house.engine();
    let result = engine.request(&target(1), 7, false).unwrap().wait().await;
    if result.is_ok() {
        assert_eq!(*house.converter.packages.lock().unwrap(), [package(1000)]);
    }
    assert_eq!(house.service.orders(), 1);
    (house.service.downloads(), result.map_err(|failure| failure.kind))
}

#[tokio::test(start_paused = true)]
async fn a_download_that_breaks_off_goes_on_where_it_broke() {
    let breaks = |bytes| Delivery::BreaksAt(bytes);
    assert_eq!(
        downloads(vec![breaks(300), breaks(310), breaks(999)]).await,
        (vec![0, 300, 310, 999], Ok(()))
    );
}

#[tokio::test(start_paused = true)]
async fn a_host_without_ranges_starts_over() {
    let (offsets, result) = downloads(vec![
        Delivery::BreaksAt(300),
        Delivery::WithoutRanges(Some(100)),
        Delivery::WithoutRanges(None),
    ])
    .await;
    assert_eq!((offsets, result), (vec![0, 300, 100], Ok(())));
}

#[tokio::test(start_paused = true)]
async fn a_host_without_ranges_that_breaks_off_for_ever_is_given_up() {
    // now a little more, now a little less: never further than before
    let deliveries =
        (0..400).map(|n| Delivery::WithoutRanges(Some(if n % 2 == 0 { 600 } else { 300 }))).collect();
    let (offsets, result) = downloads(deliveries).await;
    assert_eq!(result, Err(FailureKind::Offline));
    assert!(offsets.len() <= 6, "{} downloads", offsets.len());
}

#[tokio::test(start_paused = true)]
async fn an_unreachable_host_is_asked_a_few_times() {
    let (offsets, result) = downloads(vec![Delivery::Fails(unreachable()); 4]).await;
    assert_eq!((offsets.len(), result), (5, Ok(())));
    let (offsets, result) = downloads(vec![Delivery::Fails(unreachable()); 40]).await;
    assert_eq!((offsets.len(), result), (5, Err(FailureKind::Offline)));
}

#[tokio::test(start_paused = true)]
async fn a_wrong_length_is_no_package() {
    for delivery in [Delivery::Short, Delivery::Long] {
        let (offsets, result) = downloads(vec![delivery.clone(); 40]).await;
        assert_eq!(result, Err(FailureKind::Offline), "{delivery:?}");
        assert!(offsets.len() <= 6, "{offsets:?}");
    }
    assert_eq!(downloads(vec![Delivery::Long]).await, (vec![0, 0], Ok(())));
}

#[tokio::test(start_paused = true)]
async fn an_unknown_length_is_no_obstacle() {
    assert_eq!(downloads(vec![Delivery::UnknownLength]).await, (vec![0], Ok(())));
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, content).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test(start_paused = true)]
async fn gzip_around_a_package_is_taken_off() {
    let wrapped = gzip(&package(1 << 20));
    for deliveries in [vec![], vec![Delivery::BreaksAt(900)], vec![Delivery::UnknownLength]] {
        let house = House::new();
        house.service.world().package = wrapped.clone();
        house.service.world().downloads = deliveries.into();
        let engine = house.engine();
        engine.request(&target(1), 7, false).unwrap().wait().await.unwrap();
        assert_eq!(*house.converter.packages.lock().unwrap(), [package(1 << 20)]);
        assert_eq!((house.service.orders(), engine.inventory().usage().reserved), (1, 0));
        assert!(house.staged().is_empty());
    }
    // Cut without anybody noticing, and something else inside.
    let house = House::new();
    house.service.world().package = wrapped[..wrapped.len() - 20].to_vec();
    let engine = house.engine();
    let failure = engine.request(&target(1), 7, false).unwrap().wait().await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Offline);
    assert!(house.service.downloads().len() <= 6, "{:?}", house.service.downloads());
    let house = House::new();
    house.service.world().package = gzip(b"<!DOCTYPE html>");
    let engine = house.engine();
    let failure = engine.request(&target(1), 7, false).unwrap().wait().await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Service);
}

#[tokio::test(start_paused = true)]
async fn a_link_that_is_lost_for_a_moment_costs_nothing_that_has_arrived() {
    let deliveries = vec![Delivery::BreaksAt(300), Delivery::Lost, Delivery::Whole];
    assert_eq!(downloads(deliveries).await, (vec![0, 300, 300], Ok(())));
    // Another order's package is another file.
    let house = House::new();
    let mut deliveries = vec![Delivery::Lost; 5];
    deliveries.insert(0, Delivery::BreaksAt(300));
    house.service.world().downloads = deliveries.into();
    let engine = house.engine();
    engine.request(&target(1), 7, false).unwrap().wait().await.unwrap();
    let offsets = vec![0, 300, 300, 300, 300, 300, 0];
    assert_eq!((house.service.downloads(), house.service.orders()), (offsets, 2));
}

#[tokio::test(start_paused = true)]
async fn a_download_host_that_asks_for_patience_gets_it() {
    let wait = std::time::Duration::from_secs(600);
    for error in [
        ClmsError::RateLimited { retry_after: Some(wait) },
        ClmsError::Server { status: 503, msg: String::new(), retry_after: Some(wait) },
    ] {
        let before = tokio::time::Instant::now();
        assert_eq!(downloads(vec![Delivery::Fails(error)]).await, (vec![0, 0], Ok(())));
        assert!(before.elapsed() >= wait);
    }
}

#[tokio::test(start_paused = true)]
async fn a_download_host_that_asks_for_patience_holds_up_no_other() {
    let house = House::new();
    let wait = std::time::Duration::from_secs(3600);
    let limited = ClmsError::RateLimited { retry_after: Some(wait) };
    house.service.world().verdicts = (1..=4).map(|number| (target(number).file, limited.clone())).collect();
    let engine = house.engine();
    let mut held_up = Vec::new();
    for number in 1..=4 {
        held_up.push(engine.request(&target(number), 7, false).unwrap());
    }
    until("all four are asked for", || house.service.downloads().len() == 4).await;
    let before = tokio::time::Instant::now();
    engine.request(&target(5), 7, false).unwrap().wait().await.unwrap();
    assert!(before.elapsed() < wait / 10, "{:?}", before.elapsed());
    house.service.world().verdicts.clear();
    for ticket in held_up {
        ticket.wait().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_host_is_left_after_the_stall_limit() {
    let house = House::new();
    house.service.half_gate.shut();
    let engine = house.engine();
    let ticket = engine.request(&target(1), 7, false).unwrap();
    until("it hangs", || state(&engine, 1) == ProductState::Downloading).await;
    until("it is tried again", || house.service.downloads().len() == 2).await;
    assert_eq!(house.service.downloads(), [0, 500]);
    house.service.half_gate.open();
    ticket.wait().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_has_arrived_is_kept_for_the_next_attempt() {
    let house = House::new();
    let mut deliveries = vec![Delivery::BreaksAt(400)];
    deliveries.extend(vec![Delivery::Fails(unreachable()); 4]);
    house.service.world().downloads = deliveries.into();
    house.service.world().lives = [vec![Stage::Sized(1000)]].into();
    let engine = house.engine();
    let failure = engine.request(&target(1), 7, false).unwrap().wait().await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Offline);
    assert_eq!(std::fs::read(house.staging(&target(1)).join("package.part")).unwrap(), package(1000)[..400]);
    assert_eq!(engine.inventory().usage().reserved, 1000, "its room is kept too");
    engine.request(&target(1), 7, true).unwrap().wait().await.unwrap();
    assert_eq!(house.service.downloads().last(), Some(&400));
    assert_eq!((house.service.orders(), engine.inventory().usage().reserved), (1, 0));
}
