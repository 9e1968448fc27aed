-- Rows that would be documents of more than 1 MiB: their large columns are kept apart.

create table authors (id uuid primary key, name text not null);

create table articles (
    tenant int,
    number int,
    title text not null,
    body text,
    body_html text not null,
    revisions jsonb,
    author_id uuid not null references authors,
    primary key (tenant, number)
);
