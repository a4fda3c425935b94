//! The inner parts of a conversion, one by one: `cargo bench`. Whole commands against other tools: `make bench`.

#![allow(missing_docs, clippy::unwrap_used)]

use std::fs;
use std::path::PathBuf;

use clmsfs::ingest::inner::{TileBench, copy_raw_tiles};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const PIXELS: u64 = 512 * 512;

/// Patches of classes, a few dozen pixels wide.
fn class(x: usize, y: usize) -> u8 {
    ((x / 29 + y / 37) * 7 % 11) as u8 + u8::from((x * y).is_multiple_of(97))
}

/// A slope with the noise of measurements.
fn height(x: usize, y: usize) -> f32 {
    (x as f32).mul_add(0.3, y as f32 * 0.7) + ((x * 31 + y * 17) % 23) as f32 * 0.01
}

fn tiles(criterion: &mut Criterion) {
    let mut bytes = TileBench::of_bytes(class, 255).unwrap();
    let mut group = criterion.benchmark_group("tile of UInt8");
    group.throughput(Throughput::Bytes(PIXELS));
    group.bench_function("zstd 1", |bencher| bencher.iter(|| bytes.encode().unwrap()));
    group.bench_function("overview by mode", |bencher| bencher.iter(|| bytes.halve(true)));
    group.bench_function("overview by mean", |bencher| bencher.iter(|| bytes.halve(false)));
    group.bench_function("statistics", |bencher| bencher.iter(|| bytes.statistics()));
    group.finish();
    let mut floats = TileBench::of_floats(height, -9999.0).unwrap();
    let mut group = criterion.benchmark_group("tile of Float32");
    group.throughput(Throughput::Bytes(4 * PIXELS));
    group.bench_function("zstd 1", |bencher| bencher.iter(|| floats.encode().unwrap()));
    group.bench_function("overview by mean", |bencher| bencher.iter(|| floats.halve(false)));
    group.bench_function("statistics", |bencher| bencher.iter(|| floats.statistics()));
    group.finish();
}

/// `CLMSFS_BENCH_RAW` names a GeoTIFF whose tiles can be copied; `make bench` makes some.
fn raw_copy(criterion: &mut Criterion) {
    let Some(source) = std::env::var_os("CLMSFS_BENCH_RAW").map(PathBuf::from) else {
        return println!("SKIPPED: raw tile copy, CLMSFS_BENCH_RAW names no GeoTIFF ('make bench' does)");
    };
    let (ours, theirs) = (source.with_extension("copied"), source.with_extension("copy"));
    let mut group = criterion.benchmark_group("raw tiles");
    group.sample_size(10).throughput(Throughput::Bytes(fs::metadata(&source).unwrap().len()));
    group.bench_function("ours", |bencher| {
        bencher.iter(|| copy_raw_tiles(&source, &ours).unwrap().expect("a source whose tiles can be copied"));
    });
    group.bench_function("cp", |bencher| {
        bencher.iter(|| {
            let done =
                std::process::Command::new("cp").arg("--reflink=never").args([&source, &theirs]).status();
            assert!(done.unwrap().success());
        });
    });
    group.finish();
    fs::remove_file(ours).unwrap();
    fs::remove_file(theirs).unwrap();
}

criterion_group!(benches, tiles, raw_copy);
criterion_main!(benches);
