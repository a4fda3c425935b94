//! Thin adapter to the kernel: reply, errno, passthrough, kill watcher, session.
//!
//! * [`adapter`] — the FUSE calls, each a few lines over [`vfs`](crate::vfs); `opening` — open(), whose replies may wait in a task.
//! * [`handles`] — open files and directories; [`passthrough`] — files the kernel reads without us.
//! * [`invalidate`] — tells the kernel what left the cache.
//! * [`mountpoint`] — checks, dead mounts, unmounting.
//! * [`daemon`] — a whole mount from settings to the last breath.
//! * `names` — what the ledger calls the products in the cache, after the catalogue has changed.
//! * `parts` — what the settings mean for each part; [`reload`] — takes new ones over; `signals` — who asks for it, or for the end.
//! * `process` — what the serving process asks of the kernel for itself; `systemd` — what a service manager is told.

pub mod adapter;
pub mod daemon;
pub mod handles;
pub mod invalidate;
pub mod mountpoint;
mod names;
mod opening;
mod parts;
pub mod passthrough;
mod process;
pub mod reload;
mod signals;
mod systemd;
