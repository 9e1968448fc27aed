//! See `migrate_fuzz::document`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| migrate_fuzz::document(data));
