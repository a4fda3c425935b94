//! The world around the engine, in memory: a scripted service, a converter, and a cache in a temporary directory.
//!
//! Everything goes well unless a script says otherwise; every call is noted.

mod house;
mod service;

use std::time::Duration;

use tokio::sync::watch;

pub(crate) use house::{AHEAD, Conversion, House, target};
pub(crate) use service::{Call, Delivery, FakeService, OrderAnswer, Stage, nonsense, package, unreachable};

/// Waits, in virtual time, until `condition` holds.
pub(crate) async fn until(what: &str, condition: impl Fn() -> bool) {
    for _ in 0..20_000 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("never came true: {what}");
}

/// A door that calls pass; open unless it was shut.
#[derive(Debug)]
pub(crate) struct Gate(watch::Sender<bool>);

impl Default for Gate {
    fn default() -> Self {
        Self(watch::Sender::new(true))
    }
}

impl Gate {
    pub(crate) fn shut(&self) {
        self.0.send_replace(false);
    }

    pub(crate) fn open(&self) {
        self.0.send_replace(true);
    }

    async fn pass(&self) {
        let mut gate = self.0.subscribe();
        gate.wait_for(|open| *open).await.unwrap();
    }
}
