//! The fault matrix: whatever the service, the network or a package does wrong, the reader gets the right errno or the
//! right bytes, the service gets few requests, the state says what is wrong, and it is over when the fault is over,
//! without a new mount.
//!
//! Each row is a test of its own with its own service, mount and product, so that a failure names the fault. The
//! program's pauses are shortened ([`Row::hurry`](row::Row)); their true lengths are proven beside the code, in paused
//! time. What the rows have measured is written as a table where `$CLMSFS_FAULT_TABLE` says.

mod answers;
mod credentials;
mod late;
mod manners;
mod network;
mod packages;
mod row;
mod table;
mod tasks;

/// Makes each row a test: `rows! { name: Row { … } }`.
macro_rules! rows {
    ($($(#[$doc:meta])* $name:ident: $row:expr;)+) => {
        $($(#[$doc])* #[test] fn $name() { $row.run(); })+
    };
}
use rows;
