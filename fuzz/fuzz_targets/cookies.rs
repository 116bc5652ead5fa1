//! The target `cookies` of `tests/src/fuzz`, for libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let target = windlass_tests::fuzz::target("cookies").expect("it is in the list");
    (target.run)(bytes);
});
