//! The promises of the main job, each kept through a real mount of the real program.
//!
//! Every test starts its own simulated service and its own mount, and leaves neither process nor mount behind.
//! Without `/dev/fuse` they say so and pass; under `CI=true` that is a failure. Packages with real CLMS values are
//! looked for in `$CLMSFS_REAL_DATA` or `../shared/data/real`.

#![allow(clippy::unwrap_used)]

mod bad_input;
mod bad_rasters;
mod cache_budget;
mod cache_folder;
mod catalogue;
mod crash_points;
mod crash_resume;
mod damaged_entries;
mod directories;
mod disk_fails;
mod disk_full;
mod doctor;
mod documents;
mod eagain;
mod errors;
mod faults;
mod first_open;
mod fstab;
mod guard;
mod harness;
mod hostile_packages;
mod killable;
mod large_catalogue;
mod listing_is_free;
mod logs;
mod manual;
mod metrics;
mod mountpoint;
mod netcdf;
mod pixels;
mod policy;
mod power_loss;
mod read_only;
mod readers;
mod reading_ways;
mod refresh;
mod reload;
mod sandbox;
mod secrets;
mod semantics;
mod single_flight;
mod speed;
mod support;
mod systemd;
mod too_large;
mod unpack_ahead;
mod vectors;
mod verbs;
mod watching;
mod web;
