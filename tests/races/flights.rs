//! Readers that ask for a product while it is fetched, fails, is cancelled, evicted, or the mount ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use clmsfs::clms::{DatasetUid, FileId};
use clmsfs::fetch::engine::Target;
use clmsfs::fetch::failure::{Failure, FailureKind};
use clmsfs::fetch::job::{Event, Job};
use clmsfs::store::layout::EntryKey;
use shuttle::{future, thread};

use crate::fetch::flights::{Failed, Flight, Flights, Refusal, Ticket};
use crate::in_every_order;
use crate::leases::Cache;
use crate::store::inventory::Inventory;

/// What a driver does in the end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ends {
    Publishing,
    Failing,
    /// As a panic of the driver, or the end of the mount.
    WithoutAWord,
}

/// Fetches as the engine has them, with threads of shuttle for drivers.
struct House {
    flights: Flights,
    inventory: Arc<Inventory>,
    cache: Arc<Cache>,
    key: EntryKey,
    ends: Ends,
    /// Drivers that work now, and all that ever did.
    now: AtomicUsize,
    ever: AtomicUsize,
}

impl House {
    fn new(cache: &Arc<Cache>, ends: Ends) -> Arc<Self> {
        let (inventory, key) = cache.inventory();
        let (now, ever) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Arc::new(Self {
            flights: Flights::default(),
            inventory,
            cache: Arc::clone(cache),
            key,
            ends,
            now,
            ever,
        })
    }

    fn job(&self, failed: Option<Failed>) -> Job {
        let target = Target {
            key: self.key.clone(),
            dataset: DatasetUid::parse("d").unwrap(),
            file: FileId::parse("f").unwrap(),
            path: "d/f".to_owned(),
            product: "f".to_owned(),
            declared: None,
        };
        failed.map_or_else(|| Job::new(&target, 0), |failed| failed.job.retried())
    }

    fn is_here(&self) -> bool {
        self.inventory.contains(&self.key)
    }

    fn request(self: &Arc<Self>, insist: bool) -> Result<Ticket, Refusal> {
        let launch = |flight: Flight| {
            let house = Arc::clone(self);
            thread::spawn(move || house.drive(flight));
        };
        self.flights.request(&self.key, insist, |_| self.is_here(), |failed| self.job(failed), launch)
    }

    /// The end of a driver, in the order of `src/fetch/driver.rs`.
    fn drive(&self, flight: Flight) {
        assert_eq!(self.now.fetch_add(1, Ordering::SeqCst), 0, "one driver at a time");
        let number = self.ever.fetch_add(1, Ordering::SeqCst);
        assert!(!self.is_here(), "nobody fetches what is here");
        thread::yield_now();
        let failed = |kind| Err(Failure::new(kind, format!("attempt {number}")));
        let outcome = match self.ends {
            _ if flight.cancel.is_cancelled() => failed(FailureKind::Cancelled),
            Ends::Publishing => {
                self.cache.publish(&self.inventory, &self.key, "content");
                Ok(())
            }
            Ends::Failing => failed(FailureKind::Service),
            Ends::WithoutAWord => {
                self.now.fetch_sub(1, Ordering::SeqCst);
                return self.flights.vanish(&self.key);
            }
        };
        let job = match &outcome {
            Ok(()) => flight.job,
            Err(failure) => flight.job.after(Event::Failed(failure.clone())),
        };
        self.now.fetch_sub(1, Ordering::SeqCst);
        self.flights.land(&job, &outcome, None);
        flight.driven.send_modify(|driven| driven.outcome = Some(outcome));
    }

    /// A reader: asks, waits, opens; asks again when what it waited for is gone already.
    fn read(self: &Arc<Self>) -> Result<(), FailureKind> {
        for _ in 0..4 {
            let ticket = match self.request(false) {
                Ok(ticket) => ticket,
                Err(Refusal::Failed(failure)) => return Err(failure.kind),
                Err(Refusal::ShuttingDown) => return Err(FailureKind::Cancelled),
            };
            future::block_on(ticket.wait()).map_err(|failure| failure.kind)?;
            if let Some(lease) = self.inventory.lease(&self.key) {
                assert!(lease.directory().join("content").exists(), "what is open is there");
                return Ok(());
            }
        }
        Ok(())
    }

    fn readers(self: &Arc<Self>, number: usize) -> Vec<thread::JoinHandle<Result<(), FailureKind>>> {
        (0..number)
            .map(|_| {
                let house = Arc::clone(self);
                thread::spawn(move || house.read())
            })
            .collect()
    }

    /// Nothing is in the air.
    fn check(&self) {
        assert!(self.flights.state().running.is_empty());
        self.cache.check(&self.inventory, &self.key);
    }
}

fn all(readers: Vec<thread::JoinHandle<Result<(), FailureKind>>>) -> Vec<Result<(), FailureKind>> {
    readers.into_iter().map(|reader| reader.join().unwrap()).collect()
}

#[test]
fn many_readers_cost_one_fetch_and_all_of_them_hear_of_its_end() {
    let cache = Arc::new(Cache::new());
    in_every_order(move || {
        let house = House::new(&cache, Ends::Publishing);
        assert!(all(house.readers(3)).iter().all(Result::is_ok));
        assert_eq!(house.ever.load(Ordering::SeqCst), 1);
        house.check();
    });
}

#[test]
fn a_failure_is_told_to_all_and_nobody_tries_again_at_once() {
    let cache = Arc::new(Cache::new());
    in_every_order(move || {
        let house = House::new(&cache, Ends::Failing);
        assert!(all(house.readers(3)).iter().all(|heard| *heard == Err(FailureKind::Service)));
        assert_eq!(house.ever.load(Ordering::SeqCst), 1);
        house.check();
    });
}

#[test]
fn an_eviction_between_the_end_of_a_fetch_and_an_open_loses_nobody() {
    let cache = Arc::new(Cache::new());
    in_every_order(move || {
        let house = House::new(&cache, Ends::Publishing);
        let readers = house.readers(2);
        let evictor = {
            let house = Arc::clone(&house);
            thread::spawn(move || (0..2).filter(|_| house.inventory.evict(&house.key).is_ok()).count())
        };
        assert!(all(readers).iter().all(Result::is_ok));
        let evicted = evictor.join().unwrap();
        let fetched = house.ever.load(Ordering::SeqCst);
        assert!(fetched <= evicted + 1, "{fetched} fetches after {evicted} evictions");
        house.check();
    });
}

#[test]
fn a_cancelled_fetch_wakes_all_and_the_next_one_starts_anew() {
    let cache = Arc::new(Cache::new());
    in_every_order(move || {
        let house = House::new(&cache, Ends::Publishing);
        let readers = house.readers(2);
        let user = {
            let house = Arc::clone(&house);
            thread::spawn(move || house.flights.cancel(&house.key))
        };
        let heard = all(readers);
        let cancelled = user.join().unwrap();
        assert!(cancelled || heard.iter().all(Result::is_ok));
        assert!(heard.iter().all(|heard| matches!(heard, Ok(()) | Err(FailureKind::Cancelled))));
        // whoever asks now gets it, whatever was cancelled before
        assert_eq!(house.read(), Ok(()));
        house.check();
    });
}

#[test]
fn a_reader_that_goes_away_leaves_nothing_behind() {
    let cache = Arc::new(Cache::new());
    in_every_order(move || {
        let house = House::new(&cache, Ends::Publishing);
        let impatient = {
            let house = Arc::clone(&house);
            thread::spawn(move || drop(house.request(false)))
        };
        let readers = house.readers(1);
        impatient.join().unwrap();
        assert!(all(readers).iter().all(Result::is_ok));
        assert_eq!(house.ever.load(Ordering::SeqCst), 1);
        assert_eq!(house.read(), Ok(()));
        house.check();
    });
}

#[test]
fn nobody_waits_for_a_driver_that_is_gone() {
    let cache = Arc::new(Cache::new());
    in_every_order(move || {
        let house = House::new(&cache, Ends::WithoutAWord);
        let readers = house.readers(2);
        let end = {
            let house = Arc::clone(&house);
            thread::spawn(move || house.flights.close())
        };
        assert!(all(readers).iter().all(|heard| *heard == Err(FailureKind::Cancelled)));
        end.join().unwrap();
        assert_eq!(house.read(), Err(FailureKind::Cancelled), "nothing starts after the end");
        house.check();
    });
}
