-- What a hosted project has before its owner's first migration, as far as it matters to a reader of its tables.

create schema extensions;
grant usage on schema extensions to anon, authenticated, service_role;
do $$
declare
    wanted text;
begin
    foreach wanted in array array['pgcrypto', 'uuid-ossp', 'citext'] loop
        if exists (select from pg_available_extensions where name = wanted) then
            execute format('create extension if not exists %I with schema extensions', wanted);
        end if;
    end loop;
    execute format('alter database %I set search_path to "$user", public, extensions', current_database());
end
$$;
set search_path to "$user", public, extensions;

create schema auth;
grant usage on schema auth to anon, authenticated, service_role;
create table auth.users (
    id uuid primary key default gen_random_uuid(),
    instance_id uuid,
    aud text,
    role text,
    email text,
    phone text unique,
    encrypted_password text,
    raw_app_meta_data jsonb,
    raw_user_meta_data jsonb,
    created_at timestamptz default now(),
    updated_at timestamptz default now()
);
create function auth.jwt() returns jsonb language sql stable as
    $$ select nullif(current_setting('request.jwt.claims', true), '')::jsonb $$;
create function auth.uid() returns uuid language sql stable as $$ select (auth.jwt() ->> 'sub')::uuid $$;
create function auth.role() returns text language sql stable as $$ select auth.jwt() ->> 'role' $$;

-- The grants that projects made before 2026-05-30 have. To see a project without them, revoke in the test's SQL.
grant usage on schema public to anon, authenticated, service_role;
alter default privileges in schema public grant all on tables to anon, authenticated, service_role;
alter default privileges in schema public grant all on sequences to anon, authenticated, service_role;
alter default privileges in schema public grant all on functions to anon, authenticated, service_role;
