//! The harness: a simulated service, mounts of the real program, readers, and guards that leave nothing behind.

pub(crate) mod content;
pub(crate) mod control;
pub(crate) mod disk;
pub(crate) mod faulty;
pub(crate) mod gauge;
pub(crate) mod inotify;
pub(crate) mod manager;
pub(crate) mod meddler;
pub(crate) mod mount;
pub(crate) mod packages;
pub(crate) mod process;
pub(crate) mod proxy;
pub(crate) mod python;
pub(crate) mod random;
pub(crate) mod raster;
pub(crate) mod secrets;
pub(crate) mod simulator;
pub(crate) mod stage;
pub(crate) mod vectors;
pub(crate) mod wait;
pub(crate) mod xattr;

pub(crate) use mount::Mount;
pub(crate) use packages::Package;
pub(crate) use simulator::Simulator;
pub(crate) use stage::Stage;
