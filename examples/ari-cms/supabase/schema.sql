-- The ARI part of the example: the tables an application on Supabase would have before it moves to Convex.
-- Five parent tables come first (they stand for data that already lives in Convex), then nine of the twelve tables
-- that the example migrates; the other three are in cms.sql.
--
-- Row level security is on everywhere and no policy is defined: only a role that bypasses it reads any row.

create schema if not exists auth;

-- Stands in for the table that Supabase Auth owns.
create table if not exists auth.users (
  id uuid primary key,
  email text
);

-- ---------------------------------------------------------------------------------------------------------------
-- Parents
-- ---------------------------------------------------------------------------------------------------------------

create table public.profiles (
  id uuid primary key references auth.users (id) on delete cascade,
  email text,
  full_name text,
  avatar_url text,
  is_admin boolean default false,
  created_at timestamptz default now(),
  updated_at timestamptz default now()
);

create table public.workspaces (
  id uuid primary key default gen_random_uuid(),
  name varchar(255) not null,
  slug varchar(100) not null unique,
  owner_id uuid not null references auth.users (id) on delete cascade,
  kapso_phone_id varchar(100),
  settings jsonb default '{}',
  created_at timestamptz default now(),
  updated_at timestamptz default now()
);

create table public.contacts (
  id uuid primary key default gen_random_uuid(),
  workspace_id uuid not null references public.workspaces (id) on delete cascade,
  phone varchar(50) not null,
  name varchar(255),
  email varchar(255),
  lead_score integer default 0,
  lead_status varchar(50) default 'prospect',
  tags text[] default '{}',
  assigned_to uuid references auth.users (id) on delete set null,
  source varchar(50),
  metadata jsonb default '{}',
  created_at timestamptz default now(),
  updated_at timestamptz default now(),
  unique (workspace_id, phone)
);

create table public.conversations (
  id uuid primary key default gen_random_uuid(),
  workspace_id uuid not null references public.workspaces (id) on delete cascade,
  contact_id uuid not null references public.contacts (id) on delete cascade,
  assigned_to uuid references auth.users (id) on delete set null,
  status varchar(50) default 'open',
  unread_count integer default 0,
  last_message_at timestamptz,
  created_at timestamptz default now(),
  updated_at timestamptz default now()
);

create table public.ari_conversations (
  id uuid primary key default gen_random_uuid(),
  workspace_id uuid not null references public.workspaces (id) on delete cascade,
  contact_id uuid not null references public.contacts (id) on delete cascade,
  conversation_id uuid references public.conversations (id) on delete set null,
  state varchar(50) not null default 'greeting',
  context jsonb default '{}',
  lead_score integer default 0,
  created_at timestamptz default now(),
  updated_at timestamptz default now(),
  unique (workspace_id, contact_id)
);

create index contacts_workspace_idx on public.contacts (workspace_id);
create index conversations_workspace_idx on public.conversations (workspace_id, last_message_at desc);
create index conversations_contact_idx on public.conversations (contact_id);
create index ari_conversations_contact_idx on public.ari_conversations (contact_id);

alter table public.profiles enable row level security;
alter table public.workspaces enable row level security;
alter table public.contacts enable row level security;
alter table public.conversations enable row level security;
alter table public.ari_conversations enable row level security;

-- ---------------------------------------------------------------------------------------------------------------
-- Destinations, payments, appointments, model comparison
-- ---------------------------------------------------------------------------------------------------------------

create table public.ari_destinations (
  id uuid primary key default gen_random_uuid(),
  workspace_id uuid not null references public.workspaces (id) on delete cascade,
  country varchar(100) not null,
  city varchar(100),
  university_name varchar(255) not null,
  requirements jsonb default '{}',
  programs text[] default '{}',
  is_promoted boolean default false,
  priority integer default 0,
  notes text,
  created_at timestamptz default now(),
  updated_at timestamptz default now(),
  -- A NULL city never collides with another NULL city.
  unique (workspace_id, country, city, university_name)
);

create index ari_destinations_workspace_idx on public.ari_destinations (workspace_id);
create index ari_destinations_country_idx on public.ari_destinations (workspace_id, country);
create index ari_destinations_promoted_idx on public.ari_destinations (workspace_id, is_promoted) where is_promoted;

create table public.ari_payments (
  id uuid primary key default gen_random_uuid(),
  ari_conversation_id uuid not null references public.ari_conversations (id) on delete cascade,
  workspace_id uuid not null references public.workspaces (id) on delete cascade,
  amount integer not null,
  currency varchar(3) default 'IDR',
  payment_method varchar(50),
  gateway varchar(50) default 'midtrans',
  gateway_transaction_id varchar(255),
  gateway_response jsonb,
  status varchar(50) default 'pending',
  expires_at timestamptz,
  paid_at timestamptz,
  created_at timestamptz default now(),
  updated_at timestamptz default now()
);

comment on column public.ari_payments.amount is 'in the smallest unit of the currency';
comment on column public.ari_payments.status is 'pending, success, failed, expired or refunded';

create index ari_payments_conversation_idx on public.ari_payments (ari_conversation_id);
create index ari_payments_workspace_idx on public.ari_payments (workspace_id);
create index ari_payments_status_idx on public.ari_payments (workspace_id, status);
create index ari_payments_pending_idx on public.ari_payments (workspace_id, status, expires_at)
  where status = 'pending';

create table public.ari_appointments (
  id uuid primary key default gen_random_uuid(),
  ari_conversation_id uuid not null references public.ari_conversations (id) on delete cascade,
  workspace_id uuid not null references public.workspaces (id) on delete cascade,
  payment_id uuid references public.ari_payments (id) on delete set null,
  consultant_id uuid references auth.users (id) on delete set null,
  scheduled_at timestamptz not null,
  duration_minutes integer default 60,
  meeting_link text,
  status varchar(50) default 'scheduled',
  reminder_sent_at timestamptz,
  notes text,
  created_at timestamptz default now(),
  updated_at timestamptz default now()
);

create index ari_appointments_conversation_idx on public.ari_appointments (ari_conversation_id);
create index ari_appointments_workspace_idx on public.ari_appointments (workspace_id);
create index ari_appointments_scheduled_idx on public.ari_appointments (workspace_id, scheduled_at);
create index ari_appointments_consultant_idx on public.ari_appointments (consultant_id)
  where consultant_id is not null;

create table public.ari_ai_comparison (
  id uuid primary key default gen_random_uuid(),
  workspace_id uuid not null references public.workspaces (id) on delete cascade,
  ai_model varchar(50) not null,
  conversation_count integer default 0,
  avg_response_time_ms integer,
  total_tokens_used integer default 0,
  conversion_count integer default 0,
  satisfaction_score numeric(3, 2),
  period_start timestamptz,
  period_end timestamptz,
  created_at timestamptz default now(),
  updated_at timestamptz default now(),
  unique (workspace_id, ai_model, period_start)
);

-- ---------------------------------------------------------------------------------------------------------------
-- Flow, knowledge, scoring
-- ---------------------------------------------------------------------------------------------------------------

create table public.ari_flow_stages (
  id uuid primary key default gen_random_uuid(),
  workspace_id uuid not null references public.workspaces (id) on delete cascade,
  name varchar(100) not null,
  goal text not null,
  sample_script text,
  exit_criteria text,
  stage_order integer not null default 0,
  is_active boolean default true,
  created_at timestamptz default now(),
  updated_at timestamptz default now(),
  unique (workspace_id, stage_order)
);

create table public.ari_knowledge_categories (
  id uuid primary key default gen_random_uuid(),
  workspace_id uuid not null references public.workspaces (id) on delete cascade,
  name varchar(100) not null,
  description text,
  display_order integer not null default 0,
  created_at timestamptz default now(),
  updated_at timestamptz default now(),
  unique (workspace_id, name)
);

create table public.ari_knowledge_entries (
  id uuid primary key default gen_random_uuid(),
  workspace_id uuid not null references public.workspaces (id) on delete cascade,
  category_id uuid references public.ari_knowledge_categories (id) on delete cascade,
  title varchar(255) not null,
  content text not null,
  is_active boolean default true,
  created_at timestamptz default now(),
  updated_at timestamptz default now()
);

create index ari_flow_stages_workspace_idx on public.ari_flow_stages (workspace_id, stage_order);
create index ari_knowledge_categories_workspace_idx on public.ari_knowledge_categories (workspace_id, display_order);
create index ari_knowledge_entries_workspace_idx on public.ari_knowledge_entries (workspace_id);
create index ari_knowledge_entries_category_idx on public.ari_knowledge_entries (category_id);

create table public.ari_scoring_config (
  id uuid primary key default gen_random_uuid(),
  workspace_id uuid not null unique references public.workspaces (id) on delete cascade,
  hot_threshold integer not null default 70,
  warm_threshold integer not null default 40,
  weight_basic integer not null default 25,
  weight_qualification integer not null default 35,
  weight_document integer not null default 30,
  weight_engagement integer not null default 10,
  created_at timestamptz default now(),
  updated_at timestamptz default now(),
  constraint scoring_hot_in_range check (hot_threshold between 1 and 100),
  constraint scoring_warm_in_range check (warm_threshold >= 0 and warm_threshold < 100),
  constraint scoring_hot_above_warm check (hot_threshold > warm_threshold),
  constraint scoring_weights_are_whole check (
    weight_basic + weight_qualification + weight_document + weight_engagement = 100
  )
);

-- ---------------------------------------------------------------------------------------------------------------
-- Consultants' weekly slots
-- ---------------------------------------------------------------------------------------------------------------

create table public.consultant_slots (
  id uuid primary key default gen_random_uuid(),
  workspace_id uuid not null references public.workspaces (id) on delete cascade,
  consultant_id uuid references auth.users (id) on delete set null,
  day_of_week integer not null,
  start_time time not null,
  end_time time not null,
  duration_minutes integer default 60,
  booking_window_days integer default 14,
  max_bookings_per_slot integer default 1,
  is_active boolean default true,
  created_at timestamptz default now(),
  updated_at timestamptz default now(),
  unique (workspace_id, consultant_id, day_of_week, start_time),
  constraint slot_day_in_week check (day_of_week between 0 and 6),
  constraint slot_ends_after_start check (end_time > start_time),
  constraint slot_duration_positive check (duration_minutes > 0),
  constraint slot_window_positive check (booking_window_days > 0)
);

create index consultant_slots_day_idx on public.consultant_slots (workspace_id, day_of_week);

alter table public.ari_destinations enable row level security;
alter table public.ari_payments enable row level security;
alter table public.ari_appointments enable row level security;
alter table public.ari_ai_comparison enable row level security;
alter table public.ari_flow_stages enable row level security;
alter table public.ari_knowledge_categories enable row level security;
alter table public.ari_knowledge_entries enable row level security;
alter table public.ari_scoring_config enable row level security;
alter table public.consultant_slots enable row level security;
