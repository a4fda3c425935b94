//! Taking turns: one order is sent at a time, few packages are downloaded, one is converted.

use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit, watch};

use super::flights::Driven;
use super::now;

/// A turn at what few may do at a time; it ends when it is dropped.
pub(super) struct Turn<'a> {
    gate: &'a Semaphore,
    driven: &'a watch::Sender<Driven>,
    others: &'static str,
    permit: Option<SemaphorePermit<'a>>,
}

impl<'a> Turn<'a> {
    /// Takes a turn; while others have it, whoever waits for the product is told so.
    pub(super) async fn take(
        gate: &'a Semaphore,
        driven: &'a watch::Sender<Driven>,
        others: &'static str,
    ) -> Self {
        let mut turn = Self { gate, driven, others, permit: None };
        turn.wait().await;
        turn
    }

    /// Leaves it to others for so long, and takes another one.
    pub(super) async fn lend(&mut self, pause: Duration) {
        self.permit = None;
        tokio::time::sleep(pause).await;
        self.wait().await;
    }

    async fn wait(&mut self) {
        if let Ok(permit) = self.gate.try_acquire() {
            self.permit = Some(permit);
            return;
        }
        self.driven.send_modify(|driven| {
            driven.progress.error = Some(format!("waiting for its turn: {}", self.others));
        });
        self.permit = Some(self.gate.acquire().await.expect("the gate is never closed"));
        self.driven.send_modify(|driven| {
            driven.progress.error = None;
            driven.progress.since = now();
        });
    }
}
