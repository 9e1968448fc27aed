use proptest::prelude::*;

use super::*;

/// Sixteen bytes: fourteen that count up, then a day.
fn counting(day: u16) -> [u8; 16] {
    let mut internal: [u8; 16] = std::array::from_fn(|at| u8::try_from(at).unwrap());
    internal[14..].copy_from_slice(&day.to_be_bytes());
    internal
}

/// Ids that the backend's tests and the dashboard's stories show, and what is in them.
#[test]
fn published_ids() {
    let counted = DocumentId::new(10_001, counting(20_000)).unwrap();
    assert_eq!(counted.to_string(), "j57000820c20a1g7104gm2rc1n721a4s");

    // `test_document_id_stability` of id_v6.rs: the bytes are the powers of 251, from 251 itself.
    let mut power = 1_u8;
    let stable: [u8; 16] = std::array::from_fn(|_| {
        power = power.wrapping_mul(251);
        power
    });
    let stable = DocumentId::new(1017, stable).unwrap();
    assert_eq!(stable.to_string(), "z43zp6c3e75gkmz1kfwj6mbbx5sw281h");
    assert_eq!("z43zp6c3e75gkmz1kfwj6mbbx5sw281h".parse(), Ok(stable));

    // frontend/latestExport.ts.
    let export: DocumentId = "kg27rxfv99gzp01wmph0gvt92d6hnvy6".parse().unwrap();
    assert_eq!(export.table_number(), 540);
    assert_eq!(export.internal()[14..], 19_738_u16.to_be_bytes());

    // `test_decode_lossy_ordering` of id_v6.rs: numbers of five bytes, and hardly anything else.
    let last_bit = std::array::from_fn(|at| u8::from(at == 15));
    for (text, number) in [
        ("z2bbqng100000000000000000000000004ggy", 449_760_120),
        ("zzzzz40c00000000000000000000000006db2", 3_256_877_055),
    ] {
        let id = DocumentId::new(number, last_bit).unwrap();
        assert_eq!((id.to_string().as_str(), text.parse()), (text, Ok(id)));
    }
}

#[test]
fn the_first_user_tables_are_known_by_their_ids() {
    for (number, start) in [(10_001, "j57"), (10_002, "j97"), (10_003, "jd7"), (10_004, "jh7")] {
        assert!(DocumentId::new(number, [0; 16]).unwrap().to_string().starts_with(start));
    }
}

#[test]
fn lengths_follow_the_table_number() {
    for (number, length) in [
        (1, 31),
        (127, 31),
        (128, 32),
        (16_383, 32),
        (16_384, 34),
        (2_097_151, 34),
        (2_097_152, 36),
        (268_435_455, 36),
        (268_435_456, 37),
        (u32::MAX, 37),
    ] {
        let id = DocumentId::new(number, [0xff; 16]).unwrap();
        assert_eq!(id.to_string().len(), length, "{number}");
        assert_eq!(id.to_string().parse(), Ok(id));
    }
    assert_eq!(DocumentId::new(0, [0; 16]), None);
}

#[test]
fn texts_that_are_no_ids() {
    let good = "j57000820c20a1g7104gm2rc1n721a4s";
    assert!(good.parse::<DocumentId>().is_ok());
    for bad in [
        "",
        "j57",
        "J57000820C20A1G7104GM2RC1N721A4S",
        "j57000820c20a1g7104gm2rc1n721a4t",
        "j57000820c20a1g7104gm2rc1n721a4sh",
        "j57000820c20a1g7104gm2rc1n721a4",
        "j5i000820c20a1g7104gm2rc1n721a4s",
        "jü7000820c20a1g7104gm2rc1n721a4",
        // A text that made an earlier version of the backend's decoder panic.
        "sssswsgggggggggsgcsssfafffsffks",
        "00000000000000000000000000000000",
    ] {
        assert!(bad.parse::<DocumentId>().is_err(), "{bad}");
    }
}

fn maker(stream: &str, table: &str) -> IdMaker {
    IdMaker::new(stream, &table.parse().unwrap(), 10_001)
}

/// The hash is from `printf '\0\0\0\010supabase\0\0\0\006orders7' | sha256sum`.
#[test]
fn derived_ids_are_a_documented_hash() {
    let id = maker("supabase", "orders").id(&SourceKey::from("7"));
    let hex = migrate_core::catalog::hex(&id.internal()[..14]);
    assert_eq!(hex, "702ca47d5c6db58da8e8fc3b7255");
    assert_eq!(id.internal()[14..], 20_000_u16.to_be_bytes());
}

#[test]
fn stream_table_and_key_are_told_apart() {
    let ids = [
        maker("a", "bc").id(&SourceKey::from("d")),
        maker("ab", "c").id(&SourceKey::from("d")),
        maker("a", "b").id(&SourceKey::from("cd")),
        maker("a", "bc").id(&SourceKey::from("e")),
        maker("a", "auth.bc").id(&SourceKey::from("d")),
    ];
    let distinct: std::collections::HashSet<_> = ids.iter().collect();
    assert_eq!(distinct.len(), ids.len());
}

proptest! {
    #[test]
    fn any_id_reads_back(number in 1_u32.., internal: [u8; 16]) {
        let id = DocumentId::new(number, internal).unwrap();
        prop_assert_eq!(id.to_string().parse(), Ok(id));
    }

    #[test]
    fn no_other_character_passes(number in 1_u32.., internal: [u8; 16], at: prop::sample::Index, digit in 0_usize..32) {
        let text = DocumentId::new(number, internal).unwrap().to_string();
        let at = at.index(text.len());
        let mut other = text.clone().into_bytes();
        other[at] = ALPHABET[digit];
        let other = String::from_utf8(other).unwrap();
        // A checksum of sixteen bits finds a change of one digit.
        prop_assert_eq!(other.parse::<DocumentId>().is_ok(), other == text);
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,40}") {
        let _ = text.parse::<DocumentId>().map(|id| assert_eq!(id.to_string(), text));
    }
}
