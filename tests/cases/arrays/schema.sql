create type mood as enum ('sad', 'happy');
create table tags (id integer primary key, slug text unique);
create table arrays (
    id integer primary key,
    plain text[] not null,
    grid integer[][] not null,
    cube float8[][][],
    sized integer[3],
    undeclared numeric[],
    short numeric(8, 2)[] not null default '{}',
    moods mood[],
    tag_ids integer[],
    tag_slugs text[],
    days date[],
    flags boolean[] default array[true, null],
    docs jsonb[],
    nulls text[] default array['a', null]
);
