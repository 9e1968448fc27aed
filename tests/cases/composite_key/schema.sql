create table tenants (id uuid primary key);
create table regions (
    tenant_id uuid references tenants,
    country char(2),
    code text,
    name text not null,
    primary key (tenant_id, country, code)
);
-- The reference lists the columns in another order than the key.
create table stores (
    tenant_id uuid not null,
    number integer,
    region_code text not null,
    region_country char(2) not null,
    fallback_code text,
    fallback_country char(2),
    primary key (number, tenant_id),
    foreign key (region_code, tenant_id, region_country) references regions (code, tenant_id, country) on delete cascade,
    foreign key (tenant_id, fallback_country, fallback_code) references regions match simple
);
create table visits (
    id bigint generated always as identity primary key,
    store_tenant uuid,
    store_number integer,
    unique (store_number, store_tenant),
    foreign key (store_number, store_tenant) references stores
);
-- A join table whose key is its two references, and one that refers to it.
create table visit_tags (
    visit_id bigint references visits,
    tag text,
    primary key (visit_id, tag)
);
create table tag_votes (
    id integer primary key,
    visit_id bigint not null,
    tag text not null,
    foreign key (visit_id, tag) references visit_tags
);
