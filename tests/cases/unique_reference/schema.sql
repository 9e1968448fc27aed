create table users (
    id uuid primary key,
    email text not null unique,
    handle text unique
);
-- Its key is a reference itself, and it is referred to by that key.
create table profiles (
    id uuid primary key references users on delete cascade,
    bio text
);
create table follows (
    follower uuid references profiles,
    followee uuid references profiles,
    since timestamptz not null default now(),
    primary key (follower, followee),
    check (follower <> followee)
);
create table messages (
    id bigint primary key,
    sender_email text not null references users (email) on update cascade,
    receiver_email text not null references users (email),
    mentions text references users (handle) on delete set null,
    author uuid not null references profiles
);
create table accounts (
    number text primary key,
    owner_email text unique references users (email)
);
-- Refers to a unique column that is a reference.
create table invoices (
    id integer primary key,
    payer text references accounts (owner_email)
);
-- Two constraints on one column, of which the first one by name leads to a table that is not in the plan.
create table secrets (id uuid primary key);
create table badges (
    id integer primary key,
    user_id uuid not null references profiles (id) references users (id),
    owner_id uuid constraint a_secret references secrets constraint b_user references users
);
