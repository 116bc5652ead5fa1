//! The target `server_message` of `tests/src/fuzz`, for libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let target = windlass_tests::fuzz::target("server_message").expect("it is in the list");
    (target.run)(bytes);
});
