//! What must become of the rows that are not simply there: rejects, values left out, and what is counted.

/// A table, one of its rows, and what is said of it.
pub type Case = (&'static str, &'static str, &'static str);

/// Rows over Convex's limits.
pub const LIMITS: &[Case] = &[
    ("limits", "bytes over", "document_too_large"),
    ("limits", "fields over", "too_many_fields"),
    ("limits", "items over", "array_too_long"),
    ("limits", "json items over", "array_too_long"),
    ("limits", "key over", "field_name_invalid"),
    ("limits", "nesting far over", "too_deep"),
    ("limits", "nesting over", "too_deep"),
    ("limits", "objects over", "too_deep"),
    ("limits", "raw over", "document_too_large"),
    ("wide", "over", "too_many_fields"),
];

/// Rejects of the default configuration, beside [`LIMITS`].
pub const DEFAULT_REJECTS: &[Case] = &[
    ("documents", "hstore key", "field_name_invalid"),
    ("documents", "key delete", "field_name_invalid"),
    ("documents", "key dollar", "field_name_invalid"),
    ("documents", "key empty", "field_name_invalid"),
    ("documents", "key newline", "field_name_invalid"),
    ("documents", "key proto", "field_name_invalid"),
    ("documents", "key umlaut", "field_name_invalid"),
    ("documents", "key underscore", "field_name_invalid"),
    ("documents", "meta huge", "not_representable"),
    ("documents", "plain huge", "not_representable"),
    ("documents", "plain key", "field_name_invalid"),
    ("documents", "plain surrogate", "not_representable"),
    ("domains", "key", "field_name_invalid"),
    ("lists", "infinite element", "not_representable"),
    ("lists", "null elements", "not_representable"),
    ("lists", "null in a grid", "not_representable"),
    ("lists", "null integers", "not_representable"),
    ("lists", "one dimension", "not_representable"),
    ("lists", "only null", "not_representable"),
    ("lists", "six dimensions", "not_representable"),
    ("lists", "two dimensions", "not_representable"),
    ("times", "instant infinity", "not_representable"),
    ("times", "instant latest", "not_representable"),
    ("times", "instant minus infinity", "not_representable"),
    ("times", "instant past javascript", "not_representable"),
];

/// Rejects of the options, beside [`LIMITS`]: a text that the map of values lacks is none that its type cannot hold.
pub const OPTIONS_REJECTS: &[Case] = &[("domains", "other name", "unknown_value")];

/// Rejects where everything is text: JSON has no limits then but the document's.
pub const TEXT_REJECTS: &[Case] = &[
    ("limits", "bytes over", "document_too_large"),
    ("limits", "items over", "array_too_long"),
    ("limits", "raw over", "document_too_large"),
    ("lists", "one dimension", "not_representable"),
    ("lists", "six dimensions", "not_representable"),
    ("lists", "two dimensions", "not_representable"),
    ("wide", "over", "too_many_fields"),
];

/// Values that the options leave out, because their type cannot hold them; the column is named.
pub const NULLED: &[Case] = &[
    ("documents", "meta huge", "meta"),
    ("lists", "infinite element", "instants"),
    ("lists", "one dimension", "grid"),
    ("lists", "one of each", "bigs"),
    ("lists", "over 2^53", "bigs"),
    ("lists", "six dimensions", "cube"),
    ("lists", "two dimensions", "words"),
    ("numbers", "131072 digits", "num"),
    ("numbers", "larger", "big"),
    ("numbers", "max", "big"),
    ("numbers", "min", "big"),
    ("numbers", "over 2^53", "big"),
    ("numbers", "under -2^53", "big"),
    ("times", "day infinity", "day"),
    ("times", "day latest", "day"),
    ("times", "day minus infinity", "day"),
    ("times", "day past javascript", "day"),
    ("times", "instant infinity", "instant"),
    ("times", "instant latest", "instant"),
    ("times", "instant minus infinity", "instant"),
    ("times", "instant past javascript", "instant"),
    ("times", "local infinity", "local"),
    ("times", "local latest", "local"),
];

/// What the report must count where the configuration is the default: a table, the count's name, and the rows in SQL.
pub const DEFAULT_CHANGES: &[Case] = &[
    ("documents", "home:number_rounded", "id = 'row rounded'"),
    ("documents", "meta:number_rounded", "id in ('rounded', 'tiny')"),
    ("documents", "plain:number_rounded", "id in ('rounded', 'tiny')"),
    ("documents", "trip:number_rounded", "id = 'rows rounded'"),
    ("lists", "instants:microseconds_cut", "id = 'microseconds'"),
    ("many", "at:microseconds_cut", "extract(microseconds from at)::bigint % 1000 <> 0"),
    ("times", "instant:microseconds_cut", CUT_INSTANTS),
];

const CUT_INSTANTS: &str = "isfinite(instant) and extract(microseconds from instant)::bigint % 1000 <> 0 \
    and extract(epoch from instant) <= 8640000000000";
const CUT_LOCALS: &str = "isfinite(local) and extract(microseconds from local)::bigint % 1000 <> 0 \
    and extract(epoch from local) <= 8640000000000";
/// The nearest double's own text is another number. A cast fails for what is next to nothing, and for what is too large.
const ROUNDED_NUM: &str = "num not in ('NaN', 'Infinity', '-Infinity') and case when num = 0 or abs(num) > 1.8e308 \
    then false when abs(num) < 1e-323 then num <> 5e-324 else num::float8::text::numeric <> num end";

/// The same for the options.
pub const OPTIONS_CHANGES: &[Case] = &[
    ("defaulted", "big:null_to_default", "big is null"),
    ("defaulted", "bits:null_to_default", "bits is null"),
    ("defaulted", "body:null_to_default", "body is null"),
    ("defaulted", "clock:null_to_default", "clock is null"),
    ("defaulted", "code:null_to_default", "code is null"),
    ("defaulted", "fixed:null_to_default", "fixed is null"),
    ("defaulted", "flag:null_to_default", "flag is null"),
    ("defaulted", "meta:null_to_default", "meta is null"),
    ("defaulted", "mood:null_to_default", "mood is null"),
    ("defaulted", "moods:null_to_default", "moods is null"),
    ("defaulted", "plain:null_to_default", "plain is null"),
    ("defaulted", "price:null_to_default", "price is null"),
    ("defaulted", "ratio:null_to_default", "ratio is null"),
    ("defaulted", "span:null_to_default", "span is null"),
    ("defaulted", "status:null_to_default", "status is null"),
    ("defaulted", "tags:null_to_default", "tags is null"),
    ("defaulted", "whole:null_to_default", "whole is null"),
    ("defaulted", "wholes:null_to_default", "wholes is null"),
    ("documents", "home:number_rounded", "id = 'row rounded'"),
    ("documents", "meta:key_escaped", "id like 'key %'"),
    ("documents", "meta:number_rounded", "id in ('rounded', 'tiny')"),
    ("documents", "meta:unfit_to_null", "id = 'meta huge'"),
    ("domains", "meta:key_escaped", "id = 'key'"),
    ("lists", "bigs:unfit_to_null", "9007199254740992 < any (bigs)"),
    ("lists", "cube:unfit_to_null", "array_ndims(cube) <> 3"),
    ("lists", "grid:unfit_to_null", "array_ndims(grid) <> 2"),
    ("lists", "instants:microseconds_cut", "id = 'microseconds'"),
    ("lists", "instants:unfit_to_null", "'infinity' = any (instants)"),
    ("lists", "nums:number_rounded", "id = 'rounded elements'"),
    ("lists", "words:unfit_to_null", "array_ndims(words) <> 1"),
    ("many", "at:microseconds_cut", "extract(microseconds from at)::bigint % 1000 <> 0"),
    ("many", "ratio:number_rounded", "ratio::float8::text::numeric <> ratio"),
    ("numbers", "big:unfit_to_null", "abs(big::numeric) > 9007199254740992"),
    ("numbers", "num:number_rounded", ROUNDED_NUM),
    ("numbers", "num:unfit_to_null", "num > 1.8e308 and num < 'Infinity'"),
    ("numbers", "wide:number_rounded", "wide <> 'NaN' and wide::float8::text::numeric <> wide"),
    ("times", "day:unfit_to_null", "not isfinite(day) or day > '275760-09-13'"),
    ("times", "instant:microseconds_cut", CUT_INSTANTS),
    ("times", "instant:unfit_to_null", "not isfinite(instant) or instant >= '275760-09-13 00:00:00.001Z'"),
    ("times", "local:microseconds_cut", CUT_LOCALS),
    ("times", "local:unfit_to_null", "not isfinite(local) or local > '275760-09-13'"),
];

/// Columns of another type where the catalog of Postgres tells more than the data API: the type without and with it.
pub const OTHER_TYPES: &[(&str, &str, &str, &str)] = &[
    ("defaulted", "moods", ANY, MOODS),
    ("defaulted", "price", STRING, NUMBER),
    ("defaulted", "status", STRING, r#"{"literals":["new","old"]}"#),
    ("domains", "feelings", ANY, MOODS),
    ("domains", "list_price", ANY, NUMBER),
    ("domains", "price", STRING, NUMBER),
    ("domains", "prices", ANY, r#"{"array":"number"}"#),
    ("kinds", "floats", ANY, STRING),
    ("kinds", "many_floats", ANY, STRING),
    ("kinds", "numbers", ANY, r#"{"array":"number"}"#),
    ("kinds", "objects", ANY, r#"{"array":"string"}"#),
    ("lists", "floats_in", ANY, r#"{"array":"string"}"#),
    ("lists", "moods", ANY, MOODS),
    ("lists", "prices", r#"{"array":"string"}"#, r#"{"array":"number"}"#),
    ("numbers", "doubled", STRING, NUMBER),
    ("numbers", "exact15", STRING, NUMBER),
    ("numbers", "price", STRING, NUMBER),
    ("texts", "status", STRING, r#"{"literals":["new","it's \"old\"","gone"]}"#),
];

const ANY: &str = r#""any""#;
const STRING: &str = r#""string""#;
const NUMBER: &str = r#""number""#;
const MOODS: &str =
    concat!(r#"{"array":{"literals":["sad","it's \"ok\"","happy 😀","a"#, "\u{2028}", r#"b","</script>",""]}}"#);
