create extension hstore;
create type address as (street text, zip integer);
create table docs (
    id integer primary key,
    rejected jsonb not null,
    escaped jsonb not null,
    as_text jsonb,
    plain json,
    pairs hstore,
    home address,
    many jsonb[],
    defaulted jsonb default '{"$a": 1}'
);
