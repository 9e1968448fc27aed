create table workspaces (id uuid primary key, slug text not null unique);
create table people (
    id uuid primary key,
    tenant_id uuid not null references workspaces,
    first_name text not null,
    last_name text,
    password_hash text,
    address jsonb not null default '{}',
    legacy_no integer,
    deleted_at timestamptz
);
create table shop_orders (id integer primary key, person_id uuid references people, note text);
create table shop_lines (id integer primary key, order_id integer not null references shop_orders);
create table shop_drafts (id integer primary key);
create table audit_log (id integer primary key, person_id uuid references people);
create table schema_migrations (version text primary key);
