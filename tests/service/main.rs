//! The service as administrators run it: the package and the units, in a machine with a real systemd.
//!
//! `make test-systemd` makes what is booted (scripts/service-root) and runs these tests, one after the other.

#![allow(clippy::unwrap_used)]

mod boot;
mod lab;
mod machine;
mod mount_units;
mod package;
mod service;
#[path = "../promises/support/mod.rs"]
#[allow(dead_code, unused_imports, reason = "the promises need more of it")]
mod support;
mod verify;
