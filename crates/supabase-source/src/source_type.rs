//! Families of Postgres types, by the names of `format_type`, of `pg_type`, and of PostgREST's OpenAPI document.

use migrate_core::catalog::{ScalarKind, SourceType};

/// Type names, without schema and modifier, by family. Since 14.8 integers are `int32` and `int64` (its changelog).
const NAMES: &[(&str, ScalarKind)] = &[
    ("boolean", ScalarKind::Bool),
    ("bool", ScalarKind::Bool),
    ("smallint", ScalarKind::Int4),
    ("integer", ScalarKind::Int4),
    ("int2", ScalarKind::Int4),
    ("int4", ScalarKind::Int4),
    ("int32", ScalarKind::Int4),
    ("bigint", ScalarKind::Int8),
    ("int8", ScalarKind::Int8),
    ("int64", ScalarKind::Int8),
    ("real", ScalarKind::Float8),
    ("double precision", ScalarKind::Float8),
    ("float4", ScalarKind::Float8),
    ("float8", ScalarKind::Float8),
    ("numeric", ScalarKind::Numeric),
    ("decimal", ScalarKind::Numeric),
    ("text", ScalarKind::Text),
    ("character varying", ScalarKind::Text),
    ("varchar", ScalarKind::Text),
    ("character", ScalarKind::Text),
    ("bpchar", ScalarKind::Text),
    ("\"char\"", ScalarKind::Text),
    ("char", ScalarKind::Text),
    ("citext", ScalarKind::Text),
    ("name", ScalarKind::Text),
    ("uuid", ScalarKind::Uuid),
    ("json", ScalarKind::Json),
    ("jsonb", ScalarKind::Json),
    ("bytea", ScalarKind::Bytes),
    ("timestamp with time zone", ScalarKind::TimestampTz),
    ("timestamptz", ScalarKind::TimestampTz),
    ("timestamp without time zone", ScalarKind::Timestamp),
    ("timestamp", ScalarKind::Timestamp),
    ("date", ScalarKind::Date),
    ("time without time zone", ScalarKind::Time),
    ("time", ScalarKind::Time),
    ("time with time zone", ScalarKind::TimeTz),
    ("timetz", ScalarKind::TimeTz),
    ("interval", ScalarKind::Interval),
    ("money", ScalarKind::Money),
    ("inet", ScalarKind::Network),
    ("cidr", ScalarKind::Network),
    ("macaddr", ScalarKind::Network),
    ("macaddr8", ScalarKind::Network),
    ("bit", ScalarKind::Bits),
    ("bit varying", ScalarKind::Bits),
    ("varbit", ScalarKind::Bits),
    ("xml", ScalarKind::Xml),
    ("tsvector", ScalarKind::Search),
    ("tsquery", ScalarKind::Search),
    ("hstore", ScalarKind::Hstore),
    ("oid", ScalarKind::Oid),
    ("xid", ScalarKind::Oid),
    ("xid8", ScalarKind::Oid),
    ("cid", ScalarKind::Oid),
    ("regclass", ScalarKind::Oid),
    ("regcollation", ScalarKind::Oid),
    ("regconfig", ScalarKind::Oid),
    ("regdictionary", ScalarKind::Oid),
    ("regnamespace", ScalarKind::Oid),
    ("regoper", ScalarKind::Oid),
    ("regoperator", ScalarKind::Oid),
    ("regproc", ScalarKind::Oid),
    ("regprocedure", ScalarKind::Oid),
    ("regrole", ScalarKind::Oid),
    ("regtype", ScalarKind::Oid),
    ("int4range", ScalarKind::Range),
    ("int4multirange", ScalarKind::Range),
    ("int8range", ScalarKind::Range),
    ("int8multirange", ScalarKind::Range),
    ("numrange", ScalarKind::Range),
    ("nummultirange", ScalarKind::Range),
    ("tsrange", ScalarKind::Range),
    ("tsmultirange", ScalarKind::Range),
    ("tstzrange", ScalarKind::Range),
    ("tstzmultirange", ScalarKind::Range),
    ("daterange", ScalarKind::Range),
    ("datemultirange", ScalarKind::Range),
    ("point", ScalarKind::Shape),
    ("line", ScalarKind::Shape),
    ("lseg", ScalarKind::Shape),
    ("box", ScalarKind::Shape),
    ("path", ScalarKind::Shape),
    ("polygon", ScalarKind::Shape),
    ("circle", ScalarKind::Shape),
    ("geometry", ScalarKind::Geometry),
    ("geography", ScalarKind::Geometry),
    ("vector", ScalarKind::Vector),
    ("halfvec", ScalarKind::Vector),
];

/// The type that a column's `format` and `enum` name.
///
/// Labels are given for enums and domains over them, not for arrays of enums, whose elements stay `Other`.
pub(crate) fn source_type(format: &str, labels: Vec<String>) -> SourceType {
    let (element, array) = match format.trim_end_matches("[]") {
        element if element.len() < format.len() => (element, true),
        element => (element, false),
    };
    let scalar = if labels.is_empty() { scalar_kind(element) } else { ScalarKind::Enum };
    SourceType { array, labels, ..SourceType::new(format, scalar) }
}

/// Whether texts of the type are padded with spaces that its equality ignores.
pub(crate) fn is_padded(source_type: &SourceType) -> bool {
    matches!(unqualified(&source_type.name).as_str(), "character" | "bpchar")
}

/// The family of a type that is no enum, composite or range of the project's own: their names say nothing.
pub(crate) fn scalar_kind(name: &str) -> ScalarKind {
    let plain = unqualified(name);
    NAMES.iter().find(|(known, _)| *known == plain).map_or(ScalarKind::Other, |&(_, kind)| kind)
}

/// `extensions.citext` and `timestamp(3) with time zone` without schema and modifier.
fn unqualified(name: &str) -> String {
    let name = match name.rsplit_once('.') {
        Some((_, name)) => name,
        None => name,
    };
    match (name.find('('), name.find(')')) {
        (Some(open), Some(close)) if open < close => {
            let (before, after) = (name.get(..open), name.get(close + 1..));
            format!("{}{}", before.unwrap_or_default().trim_end(), after.unwrap_or_default())
        }
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_generations_name_the_same_families() {
        let kind = |format: &str| source_type(format, Vec::new()).scalar;
        for (old, new) in [("integer", "int32"), ("smallint", "int32"), ("bigint", "int64")] {
            assert_eq!(kind(old), kind(new));
        }
        assert_eq!(kind("extensions.citext"), ScalarKind::Text);
        assert_eq!(kind("timestamp(3) with time zone"), ScalarKind::TimestampTz);
        assert_eq!(kind("character(3)"), ScalarKind::Text);
        assert_eq!(kind("extensions.vector(3)"), ScalarKind::Vector);
        assert_eq!(kind("extensions.geometry(Point,4326)"), ScalarKind::Geometry);
        assert_eq!(kind("bit varying(8)"), ScalarKind::Bits);
        assert_eq!(kind("tstzmultirange"), ScalarKind::Range);
        assert_eq!(kind("money"), ScalarKind::Money);
        assert_eq!(kind("public.address"), ScalarKind::Other);
        assert!(is_padded(&source_type("character", Vec::new())));
        assert!(!is_padded(&source_type("character varying", Vec::new())));
    }

    #[test]
    fn arrays_and_enums() {
        let texts = source_type("text[]", Vec::new());
        assert_eq!((texts.scalar, texts.array, texts.name.as_str()), (ScalarKind::Text, true, "text[]"));
        let mood = source_type("public.mood", vec!["sad".into(), "ok".into()]);
        assert_eq!((mood.scalar, mood.array, mood.labels.len()), (ScalarKind::Enum, false, 2));
        assert_eq!(source_type("public.mood[]", Vec::new()).scalar, ScalarKind::Other);
    }
}
