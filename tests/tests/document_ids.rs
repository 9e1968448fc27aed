//! The ids that the sink derives, against the stand-in's own implementation of the format.

use std::fmt::Write as _;

use convex_sink::DocumentId;
use migrate_tests::convex_bench;

/// A sequence of bytes that looks random and is the same in every run.
fn bytes(seed: u64) -> [u8; 16] {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    std::array::from_fn(|_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    })
}

#[test]
fn both_implementations_write_and_read_the_same() {
    let numbers = [1, 127, 128, 540, 10_001, 16_383, 16_384, 2_097_151, 2_097_152, 268_435_456, u32::MAX];
    for (number, seed) in numbers.into_iter().flat_map(|number| (0..500).map(move |seed| (number, seed))) {
        let internal = bytes(seed);
        let ours = DocumentId::new(number, internal).unwrap();
        let theirs = convex_bench::DocumentId { table_number: number, internal };
        let mut text = String::new();
        write!(text, "{ours}").unwrap();
        assert_eq!(text, theirs.to_string());
        let read: DocumentId = theirs.to_string().parse().unwrap();
        assert_eq!((read.table_number(), read.internal()), (number, internal));
        // One character changed is an id for both or for neither.
        for at in 0..text.len() {
            let mut other = text.clone().into_bytes();
            other[at] = b"0123456789abcdefghjkmnpqrstvwxyzu-"[(usize::from(internal[0]) + at) % 34];
            let other = String::from_utf8(other).unwrap();
            let is_id = other.parse::<convex_bench::DocumentId>().is_ok();
            assert_eq!(other.parse::<DocumentId>().is_ok(), is_id, "{other}");
        }
    }
}
