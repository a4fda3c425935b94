//! Keeps the SQLite that is built into the program apart from the one that GDAL, PROJ and SpatiaLite bring along.
//!
//! A linker exports every symbol of a program that one of its shared libraries refers to: the libraries would then
//! call our SQLite for the functions we have and their own for the rest, with one connection passed between two
//! releases of SQLite. That crashes (seen in SpatiaLite's start-up). Hiding what comes from archives ends it.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-link-arg=-Wl,--exclude-libs,ALL");
}
