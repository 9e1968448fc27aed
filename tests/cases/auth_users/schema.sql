create schema auth;
grant usage on schema auth to service_role;
alter default privileges in schema auth grant select on tables to service_role;
create table auth.users (id uuid primary key, email text unique, encrypted_password text);
create table profiles (
    id uuid primary key references auth.users on delete cascade,
    email text references auth.users (email),
    full_name text
);
create table orders (
    id bigint primary key,
    user_id uuid not null references auth.users,
    profile_id uuid not null references profiles
);
