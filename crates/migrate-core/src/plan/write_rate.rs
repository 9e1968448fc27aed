use std::borrow::Cow;
use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Units of a rate, the longest names first.
const UNITS: &[(&str, u64)] = &[("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("B", 1)];

/// Bytes a second, written as `3MiB` or `500KiB`. At least one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriteRate(NonZeroU64);

impl WriteRate {
    /// So many bytes a second.
    #[must_use]
    pub fn new(bytes_per_second: NonZeroU64) -> Self {
        Self(bytes_per_second)
    }

    /// As a number.
    #[must_use]
    pub fn bytes_per_second(self) -> u64 {
        self.0.get()
    }
}

/// Why a text is no rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidWriteRate;

impl fmt::Display for InvalidWriteRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a rate is a whole number of bytes a second, such as 3MiB or 500KiB")
    }
}

impl std::error::Error for InvalidWriteRate {}

impl FromStr for WriteRate {
    type Err = InvalidWriteRate;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let units = UNITS.iter().find_map(|(name, bytes)| Some((text.strip_suffix(name)?, *bytes)));
        let (number, bytes) = units.unwrap_or((text, 1));
        let number: u64 = number.trim_end().parse().map_err(|_| InvalidWriteRate)?;
        number.checked_mul(bytes).and_then(NonZeroU64::new).map(Self).ok_or(InvalidWriteRate)
    }
}

impl fmt::Display for WriteRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole =
            UNITS.iter().filter(|(_, bytes)| self.0.get().is_multiple_of(*bytes)).max_by_key(|(_, bytes)| *bytes);
        let (name, bytes) = whole.copied().unwrap_or(("B", 1));
        write!(f, "{}{name}", self.0.get() / bytes)
    }
}

impl Serialize for WriteRate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for WriteRate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<str>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for WriteRate {
    fn schema_name() -> Cow<'static, str> {
        "WriteRate".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "Bytes a second, such as 3MiB or 500KiB.",
            "pattern": "^[0-9]+ *(B|KiB|MiB|GiB)?$"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_units() {
        for (text, bytes, shown) in [
            ("4MiB", 4 << 20, "4MiB"),
            ("500 KiB", 500 << 10, "500KiB"),
            ("2048", 2048, "2KiB"),
            ("1000B", 1000, "1000B"),
            ("1GiB", 1 << 30, "1GiB"),
        ] {
            let rate: WriteRate = text.parse().unwrap();
            assert_eq!((rate.bytes_per_second(), &*rate.to_string()), (bytes, shown));
            assert_eq!(rate.to_string().parse(), Ok(rate));
        }
        for text in ["", "0", "0MiB", "fast", "-1MiB", "1.5MiB", "4 mib", "99999999999GiB", "MiB"] {
            assert_eq!(text.parse::<WriteRate>(), Err(InvalidWriteRate), "{text}");
        }
    }
}
