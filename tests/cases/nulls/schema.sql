create type mood as enum ('sad', 'happy');
create table parents (id integer primary key);
create table absent (
    id integer primary key,
    required text not null,
    maybe text,
    doc jsonb,
    tags text[],
    parent_id integer references parents
);
create table nulled (
    id integer primary key,
    required text not null,
    maybe text,
    doc jsonb,
    tags text[],
    parent_id integer references parents,
    mood mood
);
create table defaulted (
    id integer primary key,
    flag boolean default true,
    count integer default 7,
    big bigint default 9007199254740993,
    amount numeric(10, 2) default 1.50,
    exact numeric default 0.1,
    scaled numeric(20, 3) default 1.50,
    days date default '2024-01-31',
    ratio double precision default 'NaN',
    word text default 'it''s',
    quoted text default 'a"b\c',
    lines text default e'a\nb',
    empty text default '',
    mood mood default 'happy',
    doc jsonb default '{"a": [1, null]}',
    empty_doc jsonb default '{}',
    null_doc jsonb default 'null',
    text_doc jsonb default '"x"',
    tags text[] default '{}',
    pair text[] default array['a', 'b'],
    numbers integer[] default array[1, 2],
    moods mood[] default array['sad']::mood[],
    due date default '2024-01-31',
    at timestamptz default '2024-01-31T12:00:00Z',
    local timestamp default '2024-01-31T12:00:00',
    lasts interval default '1 day',
    token uuid default '00000000-0000-0000-0000-000000000000',
    checked text default 'a' check (checked in ('a', 'b')),
    given integer,
    given_now timestamptz default now(),
    given_doc jsonb,
    padded char(3) default 'a',
    raw bytea
);
create table rejected (
    id integer primary key,
    maybe text,
    parent_id integer references parents,
    doc jsonb
);
