-- The CMS part of the example: three tables that some deployments of the application never had. They are in a file of
-- their own so that a migration which lists them can also be run against a database where they are absent.
-- Load schema.sql first.

create table public.articles (
  id uuid primary key default gen_random_uuid(),
  workspace_id uuid not null references public.workspaces (id) on delete cascade,
  title varchar(255) not null,
  slug varchar(100) not null,
  excerpt text,
  content text,
  cover_image_url text,
  status varchar(20) default 'draft',
  published_at timestamptz,
  created_at timestamptz default now(),
  updated_at timestamptz default now(),
  unique (workspace_id, slug)
);

create table public.webinars (
  id uuid primary key default gen_random_uuid(),
  workspace_id uuid not null references public.workspaces (id) on delete cascade,
  title varchar(255) not null,
  slug varchar(100) not null,
  description text,
  cover_image_url text,
  scheduled_at timestamptz not null,
  duration_minutes integer default 60,
  meeting_url text,
  max_registrations integer,
  status varchar(20) default 'draft',
  published_at timestamptz,
  created_at timestamptz default now(),
  updated_at timestamptz default now(),
  unique (workspace_id, slug)
);

comment on column public.webinars.max_registrations is 'NULL means that there is no limit';

create table public.webinar_registrations (
  id uuid primary key default gen_random_uuid(),
  webinar_id uuid not null references public.webinars (id) on delete cascade,
  contact_id uuid not null references public.contacts (id) on delete cascade,
  workspace_id uuid not null references public.workspaces (id) on delete cascade,
  registered_at timestamptz default now(),
  attended boolean default false,
  unique (webinar_id, contact_id)
);

create index articles_status_idx on public.articles (workspace_id, status);
create index webinars_scheduled_idx on public.webinars (workspace_id, scheduled_at);
create index webinar_registrations_webinar_idx on public.webinar_registrations (webinar_id);
create index webinar_registrations_contact_idx on public.webinar_registrations (contact_id);

alter table public.articles enable row level security;
alter table public.webinars enable row level security;
alter table public.webinar_registrations enable row level security;
