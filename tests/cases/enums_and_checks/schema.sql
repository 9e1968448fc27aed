create type status as enum ('draft', 'published', 'archived');
create type single as enum ('only');
create domain color as text check (value in ('red', 'green', 'blue'));
create domain email as varchar(255) check (value like '%@%');

create table posts (
    id integer primary key,
    status status not null default 'draft',
    former status,
    only_one single not null,
    history status[] not null default '{draft}',
    color color,
    email email not null,
    plan text not null default 'free' check (plan in ('free', 'pro', 'pro')),
    any_of varchar(10) check (any_of = any (array['a', 'b'])),
    one_only text check (one_only = 'x'),
    either text check (either = 'x' or either = 'y'),
    excluded text check (excluded not in ('x', 'y')),
    level integer check (level in (1, 2, 3)),
    nullable_list text check (nullable_list is null or nullable_list in ('p', 'q')),
    region text check (region in ('eu', 'us') and length(region) = 2),
    padded char(3) check (padded in ('a', 'b')),
    price numeric(6, 2) check (price > 0 and price < 1000),
    starts date,
    ends date,
    constraint in_order check (ends > starts)
);
