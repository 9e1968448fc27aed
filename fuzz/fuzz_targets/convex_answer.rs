//! See `migrate_fuzz::convex_answer`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| migrate_fuzz::convex_answer(data));
