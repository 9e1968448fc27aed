create table events (id integer primary key, made timestamptz not null, name text, days date[]);
create table visits (id integer primary key, event_id integer not null references events, day date);
