//! The simulator over HTTP: against the recorded exchanges, through a task's life, and with every fault.
#![allow(clippy::unwrap_used)]

mod faults;
mod life;
mod manners;
mod packages;
mod replay;
mod replay_grants;
mod steering;
mod support;
