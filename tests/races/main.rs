//! Races of readers, fetches and evictions, looked for by shuttle: it runs the threads of a test one at a time and switches
//! between them at every lock, in thousands of orders. The files under test are the program's own, compiled here with
//! shuttle's locks in place of the standard library's (`sync` below and in `src/sync.rs`).
//!
//! `CLMSFS_RACES=1000000 cargo test --test races` tries so many orders of each.

#![allow(clippy::unwrap_used)]

mod flights;
mod leases;

/// In place of `src/sync.rs`.
mod sync {
    pub(crate) use shuttle::sync::atomic::{AtomicBool, Ordering};
    pub(crate) use shuttle::sync::{Condvar, Mutex, MutexGuard};

    pub(crate) fn disk_is_asked() {
        shuttle::thread::yield_now();
    }
}

/// The program's own: counts decide nothing.
mod tally {
    pub(crate) use clmsfs::tally::{Count, Tally};
}

#[path = "../../src/store"]
mod store {
    pub(crate) use clmsfs::store::{StoreError, entry_dir, eviction, foreign, layout};

    #[allow(dead_code, unreachable_pub)]
    pub(crate) mod inventory;
}

#[path = "../../src/fetch"]
mod fetch {
    pub(crate) use clmsfs::fetch::{failure, job, patience, state};

    #[allow(dead_code, unreachable_pub)]
    pub(crate) mod flights;

    /// Milliseconds since 1970.
    pub(crate) fn now() -> u64 {
        jiff::Timestamp::now().as_millisecond() as u64
    }
}

/// Orders that `make test` tries of each.
const ORDERS: usize = 1500;

/// Runs `test` in many orders of its threads: half of them random, half with few, well-placed switches (PCT).
fn in_every_order(test: impl Fn() + Send + Sync + 'static) {
    let orders = std::env::var("CLMSFS_RACES").ok().and_then(|orders| orders.parse().ok()).unwrap_or(ORDERS);
    let test = std::sync::Arc::new(test);
    let again = std::sync::Arc::clone(&test);
    shuttle::check_random(move || again(), orders / 2);
    shuttle::check_pct(move || test(), orders / 2, 3);
    println!("{orders} orders");
}
