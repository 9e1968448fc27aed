//! A column's type as Postgres tells it.

use migrate_core::catalog::{Digits, ScalarKind, SourceType};

use crate::source_type::scalar_kind;

/// The parts of a type, domains followed to what is below them.
#[derive(Debug, Default)]
pub(super) struct TypeParts {
    /// As `format_type` writes it.
    pub(super) name: String,
    /// `pg_type.typname` of the element, of what is no array of the type.
    pub(super) element: String,
    /// Its `typtype`.
    pub(super) element_kind: String,
    /// Whether it is of `pg_catalog`.
    pub(super) is_builtin: bool,
    pub(super) is_array: bool,
    /// Dimensions it is declared with; 0 where a view or a copied table does not know.
    pub(super) dimensions: i32,
    /// `atttypmod`.
    pub(super) modifier: i32,
    pub(super) labels: Vec<String>,
    pub(super) domain: Option<String>,
}

impl TypeParts {
    pub(super) fn source_type(self) -> SourceType {
        let scalar = self.scalar();
        SourceType {
            array: self.is_array,
            digits: if scalar == ScalarKind::Numeric { digits(self.modifier) } else { None },
            dimensions: u8::try_from(self.dimensions).ok().filter(|dimensions| self.is_array && *dimensions > 0),
            labels: self.labels,
            domain: self.domain,
            ..SourceType::new(self.name, scalar)
        }
    }

    fn scalar(&self) -> ScalarKind {
        match self.element_kind.as_str() {
            "e" => ScalarKind::Enum,
            "c" => ScalarKind::Composite,
            "r" | "m" => ScalarKind::Range,
            // A type of an extension is known by its name, whatever schema it was put in; a built-in name is not.
            _ => match scalar_kind(&self.element) {
                kind @ (ScalarKind::Geometry | ScalarKind::Vector | ScalarKind::Hstore) => kind,
                kind if self.is_builtin || self.element == "citext" => kind,
                _ => ScalarKind::Other,
            },
        }
    }
}

/// The precision and scale in a `numeric`'s modifier (`numeric.c`, `numeric_typmod_precision` and `_scale`): the scale has
/// eleven bits, the first of them its sign, since version 15, and was never large enough to need them before.
fn digits(modifier: i32) -> Option<Digits> {
    let packed = modifier.checked_sub(4).filter(|packed| *packed >= 0)?;
    let precision = u16::try_from((packed >> 16) & 0xffff).ok()?;
    let scale = i16::try_from(((packed & 0x7ff) ^ 1024) - 1024).ok()?;
    Some(Digits { precision, scale })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modifiers_hold_digits() {
        let packed = |precision: i32, scale: i32| digits(((precision << 16) | (scale & 0x7ff)) + 4);
        assert_eq!(packed(10, 2), Some(Digits { precision: 10, scale: 2 }));
        assert_eq!(packed(3, -5), Some(Digits { precision: 3, scale: -5 }));
        assert_eq!(packed(1000, 1000), Some(Digits { precision: 1000, scale: 1000 }));
        assert_eq!(digits(-1), None);
    }

    #[test]
    fn names_count_where_they_are_the_servers_or_an_extensions() {
        let kind = |element: &str, element_kind: &str, is_builtin| {
            let (element, element_kind) = (element.to_owned(), element_kind.to_owned());
            TypeParts { element, element_kind, is_builtin, ..TypeParts::default() }.source_type().scalar
        };
        assert_eq!(kind("bpchar", "b", true), ScalarKind::Text);
        assert_eq!(kind("char", "b", true), ScalarKind::Text);
        assert_eq!(kind("varbit", "b", true), ScalarKind::Bits);
        assert_eq!(kind("halfvec", "b", false), ScalarKind::Vector);
        assert_eq!(kind("geography", "b", false), ScalarKind::Geometry);
        assert_eq!(kind("citext", "b", false), ScalarKind::Text);
        assert_eq!(kind("point", "c", false), ScalarKind::Composite);
        assert_eq!(kind("text", "e", false), ScalarKind::Enum);
        assert_eq!(kind("money", "b", false), ScalarKind::Other);
        assert_eq!(kind("floatrange", "r", false), ScalarKind::Range);
        assert_eq!(kind("ltree", "b", false), ScalarKind::Other);
    }
}
