create table keyed (id integer primary key, note text);
create table unkeyed (note text, keyed_id integer references keyed);
create table by_unique (code text not null unique, wide_a integer not null, wide_b integer not null, unique (wide_a, wide_b));
create table by_nullable (code text unique);
create table by_json (doc jsonb not null unique);
create table events (id bigint, at date, note text, primary key (id, at)) partition by range (at);
create table events_2024 partition of events for values from ('2024-01-01') to ('2025-01-01');
create table log (at timestamptz not null, line text) partition by range (at);
create table log_default partition of log default;
create table refers (id integer primary key, code text references by_unique (code), event_id bigint, event_at date,
    foreign key (event_id, event_at) references events);
create view summary as select keyed_id, count(*) as notes from unkeyed group by keyed_id;
create view plain as select id, note from keyed;
create materialized view cached as select id, note from keyed;
create table no_columns ();
create table only_key (id uuid primary key);
