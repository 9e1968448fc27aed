-- One column of every type, exact or not, and what the rules in migrate.toml make of some.
create extension hstore;
create extension citext;
create extension ltree;
create type mood as enum ('sad', 'happy');
create type address as (street text, zip integer);
create type float_range as range (subtype = float8);
create domain price as numeric(10, 2) not null default 0 check (value >= 0);
create domain posted as timestamptz;

create table kinds (
    id bigint primary key,
    small smallint not null,
    int4 integer not null,
    int8 bigint not null,
    real4 real not null,
    float8 double precision not null,
    decimal_free numeric not null,
    decimal_short numeric(15, 2) not null,
    decimal_long numeric(16, 2) not null,
    decimal_rounded numeric(5, -2) not null,
    decimal_tiny numeric(3, 5) not null,
    unit_price price,
    flag boolean not null,
    free text not null,
    short varchar(10) not null,
    padded char(3) not null,
    internal "char" not null,
    identifier name not null,
    folded citext not null,
    token uuid not null,
    feeling mood not null,
    plain json not null,
    meta jsonb not null,
    raw bytea not null,
    at_zone timestamptz not null,
    at_local timestamp not null,
    posted_at posted not null,
    due date not null,
    clock time not null,
    clock_zone timetz not null,
    lasts interval not null,
    cash money not null,
    host inet not null,
    net cidr not null,
    card macaddr not null,
    bits bit(3) not null,
    more_bits varbit not null,
    doc xml not null,
    words tsvector not null,
    question tsquery not null,
    pairs hstore not null,
    path ltree not null,
    object oid not null,
    class regclass not null,
    transaction xid8 not null,
    span int4range not null,
    spans datemultirange not null,
    floats float_range not null,
    place point not null,
    area polygon not null,
    home address not null,
    homes address[] not null,
    jsons jsonb[] not null,
    blobs bytea[] not null,
    instants timestamptz[] not null
);

create table chosen (
    id uuid primary key,
    created_at timestamp,
    updated_at timestamptz,
    due date,
    big bigint,
    small integer,
    amount numeric(20, 4),
    ratio real,
    settings jsonb,
    pairs hstore,
    as_text bigint
);
