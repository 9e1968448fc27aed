create table workspaces (id uuid primary key, slug text);
create table customers (id int primary key, code text not null, name text not null);
create table orders (
    id bigint primary key, workspace_id uuid references workspaces, customer_code text, sku text not null,
    placed_at timestamptz, total double precision, amount numeric, big bigint, wide bigint, meta jsonb, tags text[],
    body text, status text not null, note text
);
create table lines (id int primary key, order_id bigint not null references orders, folder_id int);
create table folders (id int primary key, parent_id int);
create table logs (what text);
create table regions (id int primary key, name text not null);
create table legacy (id int primary key);
create table audit (id int primary key, legacy_id int references legacy);
create table chicken (id int primary key, egg int not null);
create table egg (id int primary key, chicken int not null references chicken);
alter table chicken add foreign key (egg) references egg deferrable;

insert into workspaces select md5(n::text)::uuid, 'space-' || n from generate_series(1, 20) n;
update workspaces set slug = 'space-1' where id = md5('2')::uuid;
update workspaces set slug = null where id = md5('3')::uuid;
insert into customers select n, case when n > 38 then 'twice' else 'c' || n end, 'name' from generate_series(1, 40) n;
insert into orders
    select n, md5((1 + n % 20)::text)::uuid, 'c' || 1 + n % 38, 'sku-' || n, '2024-01-01 00:00:00.5+00', 1.5, 1.25, n, n,
        '{"a": 1}', array['x'], 'canary-value', 'open', 'note'
    from generate_series(1, 2500) n;
update orders set customer_code = 'nobody-' || id where id % 50 = 1;
update orders set customer_code = 'twice' where id % 50 = 2;
update orders set placed_at = 'infinity' where id % 50 = 3;
update orders set placed_at = '290000-01-01 00:00:00+00' where id % 50 = 4;
update orders set placed_at = '2024-01-01 00:00:00.000001+00' where id % 50 = 5;
update orders set total = 'NaN' where id % 50 = 6;
update orders set total = '-Infinity' where id % 50 = 7;
update orders set amount = 'NaN' where id % 50 = 8;
update orders set big = 9007199254740993 where id % 50 = 9;
update orders set big = 9007199254740992, wide = -9007199254740992 where id % 50 = 10;
update orders set wide = -9007199254740993 where id % 50 = 11;
update orders set meta = '{"in": [{"$ref": 1}]}' where id % 50 = 12;
update orders set meta = '{"größe": 1}' where id % 50 = 13;
update orders set meta = (repeat('[', 20) || repeat(']', 20))::jsonb where id % 50 = 14;
update orders set meta = '{"n": 9007199254740993}' where id % 50 = 15;
update orders set meta = (select jsonb_object_agg('k' || k, k) from generate_series(1, 1025) k) where id % 50 = 16;
update orders set tags = array_fill('t'::text, array[8193]) where id % 50 = 17;
update orders set body = repeat('b', 1048576) where id in (18, 68);
update orders set status = 'weird' where id % 50 = 19;
update orders set note = null where id % 50 = 20;
update orders set sku = 'sku-21' where id in (22, 23);
-- Several faults in one row.
update orders set status = 'weird', placed_at = '-infinity', customer_code = 'nobody', meta = '{"": 1}' where id = 2500;
insert into folders select n, case when n > 1 then n - 1 end from generate_series(1, 20) n;
update folders set parent_id = 99 where id in (7, 8);
insert into lines select n, 1 + n % 2500, case when n % 100 = 0 then 21 else 1 + n % 20 end from generate_series(1, 3000) n;
insert into logs select 'did ' || n from generate_series(1, 30) n;
insert into legacy values (1);
insert into regions select n, 'region ' || n from generate_series(1, 12) n;
insert into audit select n, 1 from generate_series(1, 5) n;
begin;
set constraints all deferred;
insert into chicken values (1, 1);
insert into egg values (1, 1);
commit;
