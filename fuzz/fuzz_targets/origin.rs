//! The target `origin` of `tests/src/fuzz`, for libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let target = windlass_tests::fuzz::target("origin").expect("it is in the list");
    (target.run)(bytes);
});
