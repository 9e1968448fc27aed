//! Tables whose keys are of every kind that a key is likely to have, with rows that are hard to page by.

/// A table whose key is of one kind.
#[derive(Clone, Copy)]
pub(crate) struct Case {
    pub(crate) table: &'static str,
    /// The key's columns and their types in SQL.
    pub(crate) key: &'static [(&'static str, &'static str)],
    /// Whether the primary key names them from the last to the first: the source reads in the table's order.
    pub(crate) turned: bool,
    /// A key for each row as SQL, in the order they are inserted.
    pub(crate) rows: &'static [&'static str],
    /// A key that no row has.
    pub(crate) unknown: &'static [&'static str],
}

/// Types of the project's own, and a time zone that no answer may be in.
pub(crate) const SET_UP: &str = "
    create type mood as enum ('sad', 'a, \"b\"', 'ok', 'fine', '(glad)', 'never');
    create domain positive as bigint check (value > 0);
    do $$ begin
        execute format('alter database %I set timezone to %L', current_database(), 'Asia/Kolkata');
    end $$;";

/// What every table has beside its key, with a value other than NULL: names that PostgREST gives a meaning to, or that
/// need quotes, and values that are hard to keep exact.
pub(crate) const COLUMNS: &[(&str, &str, &str)] = &[
    ("note", "text", "'ü, \"x\"'"),
    ("order", "bigint[]", "'{{1, 9007199254740993}, {null, -1}}'"),
    ("select", "jsonb", "'{\"n\": 1.50, \"at\": null}'"),
    ("a.b", "numeric", "12345678901234567890.10"),
    ("say \"hi\", Ö", "text[]", "array['a,b', null, '\"', 'ü']"),
    ("offset", "integer", "-7"),
    ("columns", "json", "'{\"a\" :  9007199254740993, \"a\": 1e2}'"),
    ("and", "timestamptz", "'2024-10-27 01:30:00.000001+02'"),
    ("on_conflict", "bytea", "'\\xdeadbeef00'"),
    ("mood", "mood", "'a, \"b\"'"),
    ("moods", "mood[]", "array['ok', null, 'a, \"b\"']::mood[]"),
    ("positive", "positive", "9223372036854775807"),
    ("span", "int4range", "'[1, 5)'"),
    ("documents", "jsonb[]", "array['{\"n\": 1.50}', 'null', '[1, \"\"]', null]::jsonb[]"),
];

pub(crate) const TEXTS: &[Case] = &[
    Case {
        table: "by_text",
        key: &[("id", "text")],
        turned: false,
        rows: &[
            "''",
            "' '",
            "' padded '",
            "'a b'",
            "'a+b'",
            "'a%2Bb'",
            "'100%'",
            "'a,b'",
            "'(a)'",
            "'it''s'",
            "'\"quoted\"'",
            "'say \"x\"'",
            r"'back\slash'",
            r"'\\'",
            "'null'",
            "'eq.1'",
            "'not.eq.1'",
            "'in.(a)'",
            "'a.b'",
            "'a:b'",
            "'a*'",
            "'a&b=c#d'",
            "'/x?y'",
            "'{a}'",
            "'[\"a\"]'",
            "e'tab\\tline\\nend'",
            "'Z'",
            "'z'",
            "'ß'",
            "'日本語 😀'",
            "e'\\u2028'",
        ],
        unknown: &["\",(unknown)\\"],
    },
    Case {
        table: "by_text_of_a_language",
        key: &[("id", "text collate \"und-x-icu\"")],
        turned: false,
        rows: &["'a'", "'B'", "'ä'", "'Z'", "'z'", "'_'", "'10'", "'9'", "'A b'", "'ab'", "'A'"],
        unknown: &["b"],
    },
    Case {
        table: "by_padded_text",
        key: &[("id", "character(4)")],
        turned: false,
        rows: &["'b '", "'ab'", "'abcd'", "''", "'a'"],
        unknown: &["zz  "],
    },
    Case {
        table: "by_label",
        key: &[("id", "mood")],
        turned: false,
        rows: &["'sad'", "'ok'", "'a, \"b\"'", "'fine'", "'(glad)'"],
        unknown: &["never"],
    },
];

pub(crate) const NUMBERS: &[Case] = &[
    Case {
        table: "by_bigint",
        key: &[("id", "bigint")],
        turned: false,
        rows: &[
            "9223372036854775807",
            "-9223372036854775808",
            "9007199254740993",
            "9007199254740992",
            "-9007199254740993",
            "0",
            "-1",
            "10",
            "9",
        ],
        unknown: &["9007199254740991"],
    },
    Case {
        table: "by_numeric",
        key: &[("id", "numeric")],
        turned: false,
        rows: &["1.5001", "1.50", "-3", "1e20", "0", "100", "'NaN'", "123456789012345678901234567890.12"],
        unknown: &["1.51"],
    },
    Case {
        table: "by_double",
        key: &[("id", "double precision")],
        turned: false,
        rows: &["1.5", "-0.1", "1e300", "5e-324", "'Infinity'", "'-Infinity'", "3", "0.1"],
        unknown: &["1.51"],
    },
    Case {
        table: "by_real",
        key: &[("id", "real")],
        turned: false,
        rows: &["1.5", "-0.1", "1e30", "1e-30", "'Infinity'", "3", "0.1", "16777216"],
        unknown: &["1.51"],
    },
];

pub(crate) const TIMES: &[Case] = &[
    Case {
        table: "by_instant",
        key: &[("at", "timestamptz")],
        turned: false,
        rows: &[
            "'2024-02-29 12:34:56.789012+05:30'",
            "'2024-02-29 12:34:56.789011+05:30'",
            "'infinity'",
            "'-infinity'",
            "'0044-03-15 12:00+00 BC'",
            "'1970-01-01 00:00+00'",
            "'12024-01-01 00:00+00'",
            "'2024-10-27 01:30+02'",
        ],
        unknown: &["2024-02-29T12:34:56.789+00:00"],
    },
    Case {
        table: "by_timestamp",
        key: &[("at", "timestamp")],
        turned: false,
        rows: &["'2024-02-29 12:34:56.789012'", "'0044-03-15 BC'", "'infinity'", "'1970-01-01'", "'2024-02-29 12:34'"],
        unknown: &["2024-02-28T00:00:00"],
    },
    Case {
        table: "by_date",
        key: &[("on", "date")],
        turned: false,
        rows: &["'2024-02-29'", "'0044-03-15 BC'", "'infinity'", "'1970-01-01'", "'12024-01-01'"],
        unknown: &["2024-02-28"],
    },
    Case {
        table: "by_time",
        key: &[("at", "time")],
        turned: false,
        rows: &["'24:00'", "'00:00'", "'12:34:56.789012'", "'01:00'", "'23:59:59.999999'"],
        unknown: &["02:00:00"],
    },
    Case {
        table: "by_time_of_a_zone",
        key: &[("at", "timetz")],
        turned: false,
        rows: &["'24:00+00'", "'00:00+05:30'", "'12:34:56.789012+00'", "'01:00-08'", "'23:59:59.999999+01'"],
        unknown: &["02:00:00+00"],
    },
    Case {
        table: "by_interval",
        key: &[("after", "interval")],
        turned: false,
        rows: &["'1 day'", "'25 hours'", "'1 mon'", "'-1 year 2 days'", "'1.5 seconds'", "'0'"],
        unknown: &["2 days"],
    },
];

pub(crate) const OTHERS: &[Case] = &[
    Case {
        table: "by_uuid",
        key: &[("id", "uuid")],
        turned: false,
        rows: &[
            "'ffffffff-ffff-4fff-bfff-ffffffffffff'",
            "'00000000-0000-4000-8000-000000000000'",
            "'AAAAAAAA-0000-4000-8000-000000000001'",
            "'55555555-0000-4000-8000-000000000001'",
            "'55555554-ffff-4fff-bfff-ffffffffffff'",
            "'0b5c9f0e-6a0e-4d6b-9d0f-1f6d8a3f2c11'",
            "'7b5c9f0e-6a0e-4d6b-9d0f-1f6d8a3f2c11'",
        ],
        unknown: &["0b5c9f0e-6a0e-4d6b-9d0f-1f6d8a3f2c12"],
    },
    Case {
        table: "by_bytes",
        key: &[("id", "bytea")],
        turned: false,
        rows: &[r"'\xdead'", r"'\x'", r"'\xDE'", r"'\x00'", r"'\xffff'"],
        unknown: &[r"\x01"],
    },
    Case {
        table: "by_address",
        key: &[("id", "inet")],
        turned: false,
        rows: &["'10.0.0.1'", "'10.0.0.0/8'", "'::1'", "'192.168.0.1'", "'9.0.0.1'"],
        unknown: &["10.0.0.2"],
    },
];

pub(crate) const SEVERAL_COLUMNS: &[Case] = &[
    Case {
        table: "by_pair",
        key: &[("tenant", "integer"), ("code", "text")],
        turned: false,
        rows: &[
            "2, 'b'",
            "1, 'a,b'",
            "1, '(a)'",
            "1, '\"'",
            r"1, '\'",
            "1, ''",
            "-1, 'a'",
            "10, 'ü'",
            "2, 'B'",
            "1, 'a\"),or(b'",
        ],
        unknown: &["1", "b"],
    },
    Case {
        table: "by_turned_pair",
        key: &[("is_new", "boolean"), ("place", "smallint")],
        turned: true,
        rows: &["true, 1", "false, 1", "true, -1", "false, 32767", "true, 2"],
        unknown: &["false", "2"],
    },
    Case {
        table: "Order Items",
        key: &[("limit", "bigint"), ("or", "uuid"), ("Not.And", "text")],
        turned: false,
        rows: &[
            "1, '0b5c9f0e-6a0e-4d6b-9d0f-1f6d8a3f2c11', 'x'",
            "1, '0b5c9f0e-6a0e-4d6b-9d0f-1f6d8a3f2c11', 'X'",
            "1, '0b5c9f0e-6a0e-4d6b-9d0f-1f6d8a3f2c12', ''",
            "-5, '0b5c9f0e-6a0e-4d6b-9d0f-1f6d8a3f2c11', 'x'",
            "9223372036854775807, '0b5c9f0e-6a0e-4d6b-9d0f-1f6d8a3f2c11', 'x'",
            "1, '0b5c9f0e-6a0e-4d6b-9d0f-1f6d8a3f2c11', ','",
            "1, '0b5c9f0e-6a0e-4d6b-9d0f-1f6d8a3f2c11', 'y'",
            "1, '0b5c9f0e-6a0e-4d6b-9d0f-1f6d8a3f2c11', 'z'",
        ],
        unknown: &["1", "0b5c9f0e-6a0e-4d6b-9d0f-1f6d8a3f2c11", "w"],
    },
];
