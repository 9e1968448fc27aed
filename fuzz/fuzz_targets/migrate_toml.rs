//! See `migrate_fuzz::migrate_toml`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| migrate_fuzz::migrate_toml(data));
