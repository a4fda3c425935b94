//! The Copernicus Land Monitoring Service as a folder.
//!
//! `clmsfs` mounts the CLMS catalogue as a read-only Linux file system. Opening a dataset file that is
//! not on this machine orders it from the CLMS API, waits for it (or answers `EAGAIN`), downloads it,
//! converts it once into an on-disk Zarr cache, and from then on serves it at the speed of a local file.
//!
//! # The map of the house
//!
//! Dependencies point one way, nine floors, no circle
//! (`cli → bugreport → doctor → fuse → {vfs, control} → fetch → {catalog, view, ingest} → {clms, store, config, simulator}`):
//!
//! | room | what is in it |
//! |---|---|
//! | [`config`] | options: file < environment < flags; sizes, durations; the one table of options |
//! | [`clms`] | the service: token, client, wire types, errors. Knows HTTP, knows no disk |
//! | [`store`] | entries on disk: layout, the raster file, publish, LRU, verify |
//! | [`simulator`] | an embedded CLMS; shares nothing with `clms` but the wire |
//! | [`catalog`] | datasets and products as we name them; snapshot, refresh, STAC documents |
//! | [`ingest`] | packages → entries: unzip, GDAL reading, mosaic, overviews, encode |
//! | [`view`] | bytes of a file from an entry: GeoTIFF, Zarr, side files |
//! | [`fetch`] | from "cold" to "ready": a pure state machine, the actor that drives it, the ledger |
//! | [`vfs`] | the file system without FUSE: tree, inodes, attributes, policy, waiting |
//! | [`control`] | what a running mount tells about itself: status, metrics, socket |
//! | [`fuse`] | thin adapter to the kernel: reply, errno, passthrough, kill watcher, session |
//! | [`doctor`] | what stands in the way of a mount, and how it is mended |
//! | [`bugreport`] | what is sent to those who mend it: gathered, redacted, packed |
//! | [`cli`] | one file per verb; nothing but arguments, progress bars and text |
//! | [`text`], [`live`] | what of others' texts may be shown; values that a reload replaces; below all floors |
//! | [`tally`] | counts of what happens, cheap enough for every read; below all floors |

pub mod bugreport;
pub mod catalog;
pub mod cli;
pub mod clms;
pub mod config;
pub mod control;
pub mod doctor;
pub mod fetch;
pub mod fuse;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
pub mod ingest;
pub mod live;
pub mod simulator;
pub mod store;
mod sync;
pub mod tally;
pub mod text;
pub mod vfs;
pub mod view;
