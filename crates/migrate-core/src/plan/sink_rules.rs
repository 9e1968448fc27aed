use std::collections::BTreeSet;

use sha2::{Digest as _, Sha256};

use crate::catalog::hex;

/// What a sink takes as names, and how many indexes. The sink's adapter says it; planning keeps to it.
///
/// A name is made of `A-Z`, `a-z`, `0-9` and `_`, and starts with a letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SinkRules {
    /// Characters of a name at most.
    pub name_length: usize,
    /// Names that no field may have.
    pub reserved_fields: &'static [&'static str],
    /// Names that no table may have.
    pub reserved_tables: &'static [&'static str],
    /// Names that no index may have.
    pub reserved_indexes: &'static [&'static str],
    /// Indexes of one table at most.
    pub indexes: usize,
    /// Fields of one index at most.
    pub index_fields: usize,
}

impl Default for SinkRules {
    /// Names of 64 characters and nothing reserved, 32 indexes of 16 fields.
    fn default() -> Self {
        Self {
            name_length: 64,
            reserved_fields: &[],
            reserved_tables: &[],
            reserved_indexes: &[],
            indexes: 32,
            index_fields: 16,
        }
    }
}

impl SinkRules {
    /// What is wrong with a name; `None` when the sink takes it.
    #[must_use]
    pub fn fault(&self, name: &str, reserved: &[&str]) -> Option<String> {
        if name.is_empty() {
            Some("it is empty".to_owned())
        } else if name.len() > self.name_length {
            Some(format!("it is longer than {} characters", self.name_length))
        } else if !name.starts_with(|first: char| first.is_ascii_alphabetic()) {
            Some("it does not start with a letter".to_owned())
        } else if !name.bytes().all(is_word) {
            Some("it has characters other than A-Z, a-z, 0-9 and `_`".to_owned())
        } else if reserved.contains(&name) {
            Some("the sink keeps that name for itself".to_owned())
        } else {
            None
        }
    }

    /// The nearest name that the sink takes and that is not in `taken`. The same input always gives the same name.
    ///
    /// Characters that are not taken become one `_` between those that are; what would not start with a letter is led by
    /// `prefix`; what is too long is cut and ends in a part of its digest; what is reserved ends in `_`; what is taken ends
    /// in `_2`, `_3` and so on.
    #[must_use]
    pub fn mend(&self, name: &str, prefix: &str, reserved: &[&str], taken: &BTreeSet<String>) -> String {
        let is_taken = |char: char| char.is_ascii_alphanumeric() || char == '_';
        let parts: Vec<&str> = name.split(|char| !is_taken(char)).filter(|part| !part.is_empty()).collect();
        let mut mended = parts.join("_");
        if !mended.starts_with(|first: char| first.is_ascii_alphabetic()) {
            let rest = mended.trim_start_matches('_');
            mended = if rest.is_empty() { prefix.to_owned() } else { format!("{prefix}_{rest}") };
        }
        if mended.len() > self.name_length {
            let digest = Sha256::digest(name.as_bytes());
            let tail: String = hex(&digest).chars().take(6).collect();
            mended.truncate(self.name_length.saturating_sub(tail.len() + 1));
            mended = format!("{mended}_{tail}");
        }
        if reserved.contains(&mended.as_str()) {
            mended.push('_');
        }
        let mut free = mended.clone();
        let mut count = 2_usize;
        while taken.contains(&free) {
            let tail = format!("_{count}");
            let room = self.name_length.saturating_sub(tail.len());
            free = format!("{}{tail}", mended.get(..room).unwrap_or(&mended));
            count += 1;
        }
        free
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RULES: SinkRules = SinkRules {
        name_length: 24,
        reserved_fields: &["constructor"],
        reserved_tables: &[],
        reserved_indexes: &[],
        indexes: 32,
        index_fields: 16,
    };

    #[test]
    fn names_are_mended_predictably() {
        let mend = |name: &str| RULES.mend(name, "field", RULES.reserved_fields, &BTreeSet::from(["total".to_owned()]));
        for (name, mended) in [
            ("Order Items", "Order_Items"),
            ("2fa", "field_2fa"),
            ("_id", "field_id"),
            ("größe", "gr_e"),
            ("a  b*/", "a_b"),
            ("👋", "field"),
            ("", "field"),
            ("constructor", "constructor_"),
            ("total", "total_2"),
            ("fine", "fine"),
        ] {
            assert_eq!(mend(name), mended, "{name}");
        }
        let long = mend(&"a".repeat(30));
        assert_eq!((long.len(), long.get(..17)), (24, Some("aaaaaaaaaaaaaaaaa")));
    }

    proptest! {
        #[test]
        fn a_mended_name_is_taken_by_the_sink(name in any::<String>(), taken in prop::collection::btree_set("[a-z_]{1,6}", 0..8)) {
            let mended = RULES.mend(&name, "field", RULES.reserved_fields, &taken);
            prop_assert_eq!(RULES.fault(&mended, RULES.reserved_fields), None);
            prop_assert!(!taken.contains(&mended));
            prop_assert_eq!(&mended, &RULES.mend(&name, "field", RULES.reserved_fields, &taken));
        }
    }
}
