#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| clmsfs::fuzzing::raster(bytes));
