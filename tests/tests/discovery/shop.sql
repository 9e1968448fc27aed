-- A schema with one of every kind that the catalog tells apart.
create extension if not exists hstore with schema extensions;
create extension if not exists ltree with schema extensions;

create type public.mood as enum ('sad', 'it''s ok', 'happy');
create type public.address as (street text, zip integer);
create type public.float_range as range (subtype = float8, multirange_type_name = float_ranges);
create domain public.price as numeric(10, 2) default 0 not null check (value >= 0);
create domain public.list_price as public.price;
create domain public.tag_list as text[];

create table customers (
    id uuid primary key default gen_random_uuid(),
    user_id uuid references auth.users (id) on delete cascade,
    email extensions.citext not null unique,
    "Full Name" varchar(80) not null default 'it''s nobody',
    status text not null default 'new' check (status in ('new', 'it''s "old"', 'gone')),
    plan varchar(10) check (plan in ('free', 'pro')),
    tier extensions.citext check (tier in ('a', 'b')),
    manager_id uuid references customers (id) on delete set null
);
comment on table customers is 'People who buy';
comment on column customers.email is 'lower or upper case';
insert into customers (id, email) select gen_random_uuid(), n || '@example.com' from generate_series(1, 3) as n;

create table regions (country char(2), code text, name text, primary key (code, country));
create table orders (
    id bigint generated always as identity primary key,
    number serial not null,
    customer_id uuid not null references customers on delete restrict,
    email extensions.citext references customers (email) on update cascade on delete set default,
    country char(2),
    region text,
    placed_at timestamptz(3) not null default now(),
    due date default '2024-01-31',
    quantity integer not null default 1,
    unit price,
    list list_price[] default '{}',
    total numeric(12, 2) generated always as (quantity * 2.5) stored,
    constraint orders_region foreign key (region, country) references regions (code, country) on delete set null,
    constraint orders_number unique (number, customer_id),
    constraint orders_quantity check (quantity > 0 and quantity < 1000)
);
create index orders_placed on orders (customer_id, placed_at desc);
create index orders_open on orders (due) where due is not null;
create unique index orders_year on orders (extract(year from due));
create unique index orders_email on orders (email, id) include (due);

create table kinds (
    id integer primary key,
    small smallint, big bigint, number numeric, rounded numeric(3, -2), single real, flag boolean default false,
    padded char(3), name name, one "char", moods mood[] default array['sad', 'happy']::mood[], mood mood default 'it''s ok',
    tags tag_list, grid integer[][] default '{}', cash money, ip inet, net cidr, mac macaddr, bits bit(3), more varbit,
    doc xml, plain json, meta jsonb not null default '{"a": 1}', words tsvector, search tsquery, pairs extensions.hstore,
    path extensions.ltree, object oid, class regclass, span int4range, spans datemultirange, floats float_range,
    floatss float_ranges, place point, area polygon, home address, homes address[], raw bytea default '\x00',
    at time, attz timetz, local timestamp, every interval default '1 day', lines text default e'a\nb\\c'
);
create index kinds_words on kinds using gin (words);
create index kinds_tags on kinds using hash (padded);
insert into kinds (id, home, pairs, cash, ip, bits, object, span, place, homes)
values (1, ('Main', 1), 'a=>1', '12.5', '10.0.0.1', b'101', 7, '[1,3)', '(1,2)', array[('Side', 2)]::address[]);

create table events (id bigint, at date, note text, primary key (id, at)) partition by range (at);
create table events_2024 partition of events for values from ('2024-01-01') to ('2025-01-01');
create table events_2025 partition of events for values from ('2025-01-01') to ('2026-01-01');
insert into events values (1, '2024-05-01', 'x'), (2, '2025-05-01', 'y');

create view order_totals as select o.id, o.customer_id, o.total from orders o;
create materialized view daily as select due, count(*) as orders from orders group by due;

create extension if not exists postgres_fdw with schema extensions;
create server elsewhere foreign data wrapper postgres_fdw;
create foreign table remote_notes (id integer not null, note text) server elsewhere;

create table unkeyed (note text);
create table secret_notes (id integer primary key);
revoke all on secret_notes from anon, authenticated, service_role;

create schema billing;
create table billing.invoices (id integer primary key, order_id bigint references public.orders (id));
insert into billing.invoices (id) values (1);
create schema private;
create table private.keys (id integer primary key, invoice_id integer references billing.invoices);
grant usage on schema billing to service_role;
grant all on all tables in schema billing to service_role;

create function public.touch() returns trigger language plpgsql security definer as 'begin return new; end';
create function public.add(a integer, b integer) returns integer language sql as 'select a + b';
create procedure public.tidy() language sql as 'delete from unkeyed';
create trigger touched before insert or update on orders for each row execute function touch('{"Authorization": "canary"}');

alter table customers enable row level security;
alter table orders enable row level security;
alter table orders force row level security;
create policy "only own" on orders for select to authenticated using (customer_id = auth.uid());
create policy write_own on orders as restrictive for insert to authenticated, anon with check (quantity < 10);

create publication supabase_realtime for table orders, customers;

create schema storage;
create table storage.buckets (id text primary key, name text, public boolean default false);
insert into storage.buckets values ('avatars', 'avatars', true), ('invoices', 'invoices', false);
create schema cron;
create table cron.job (jobid bigint primary key, jobname text, schedule text, command text, active boolean default true);
insert into cron.job values (1, 'nightly', '0 3 * * *', 'select net.http_post(''canary'')', true), (2, null, '* * * * *', '', false);
insert into auth.users (email) values ('a@example.com'), ('b@example.com');
