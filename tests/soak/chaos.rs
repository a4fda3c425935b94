//! What goes on around the readers.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::{WELL, World};
use crate::support::process::Reader;
use crate::support::random::Random;
use crate::support::{Mount, Simulator};

/// Faults of the service; each lasts for a few seconds.
const FAULTS: [&str; 10] = [
    "[[fault]]\nendpoint = 'status'\nstatus = 503\n",
    "[[fault]]\nendpoint = 'post'\nstatus = 500\ntimes = 2\n",
    "[[fault]]\nendpoint = 'search'\nmalformed_json = true\n",
    "[[fault]]\nendpoint = 'status'\nhtml = true\ntimes = 3\n",
    "[[fault]]\nendpoint = 'download'\nreset = true\ntimes = 3\n",
    "[[fault]]\nendpoint = 'token'\nstatus = 503\n",
    "[[fault]]\nfile = 's*'\ntruncated = 0.5\ntimes = 2\n",
    "[[fault]]\nfile = 's*'\ncorrupt = true\ntimes = 2\n",
    "[[fault]]\nfile = 's*'\nexpired_link = true\ntimes = 2\n",
    "[[fault]]\nfile = 's*'\noutcome = 'finished_nok'\ntimes = 2\n",
];

/// Longest time between two events, in milliseconds.
const PAUSE: u64 = 1500;

pub(crate) struct Chaos {
    random: Random,
    done: BTreeMap<&'static str, u64>,
}

impl Chaos {
    pub(crate) fn new(random: Random) -> Self {
        Self { random, done: BTreeMap::new() }
    }

    pub(crate) fn for_a_while(
        &mut self,
        time: Duration,
        restarts: bool,
        world: &World,
        mount: &mut Mount,
        simulator: &Simulator,
    ) {
        let began = Instant::now();
        while began.elapsed() < time {
            let product = &world.products[self.random.below(world.products.len() as u64) as usize];
            let id = format!("data/{}", product.name);
            let what = match self.random.below(if restarts { 8 } else { 6 }) {
                0 | 1 => {
                    let fault = self.random.pick(&FAULTS).expect("there are some");
                    simulator.scenario(&format!("{WELL}{fault}"));
                    "fault of the service"
                }
                2 => {
                    simulator.scenario(WELL);
                    "service well again"
                }
                3 => {
                    simulator.revoke_tokens();
                    "tokens revoked"
                }
                4 => {
                    // An open or cold one is refused, and that is well.
                    let told = Reader::spawn(mount.verb(&["cache", "evict", &id])).finish();
                    if told.status.success() { "evicted by the user" } else { "eviction refused" }
                }
                5 => {
                    let arguments = ["fetch", "--refresh", "--no-wait", &id];
                    let told = Reader::spawn(mount.verb(&arguments)).finish();
                    if told.status.success() { "refreshed" } else { "refresh begun or refused" }
                }
                6 => {
                    self.replaced(world, || {
                        assert!(mount.terminate().success(), "an orderly end");
                        mount.start_again();
                    });
                    "orderly restart"
                }
                _ => {
                    self.replaced(world, || {
                        mount.kill();
                        mount.start_again();
                    });
                    "kill -9 and restart"
                }
            };
            *self.done.entry(what).or_default() += 1;
            // The pace of events; nothing is waited for.
            std::thread::sleep(Duration::from_millis(self.random.below(PAUSE)));
        }
    }

    fn replaced(&self, world: &World, replace: impl FnOnce()) {
        world.epoch.fetch_add(1, Ordering::SeqCst);
        replace();
        world.epoch.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn report(&mut self) {
        for (what, times) in &self.done {
            println!("  {times:5}  {what}");
        }
    }
}
