create table posts (id uuid primary key, author_id uuid, tag_ids uuid[] not null default '{}');
create table photos (id uuid primary key, shot_by uuid, related uuid[]);
create table users (id uuid primary key, slug text);
create table tags (id uuid primary key);
create table comments (
    id bigint primary key,
    target_type text not null,
    target_id uuid not null,
    target_slug text,
    reactions uuid[]
);
create table places (country text, city text, primary key (country, city));
create table trips (
    id integer primary key,
    kind text check (kind in ('place', 'region')),
    country text,
    city text
);
create table regions (country text, name text, primary key (country, name));
