create table employees (
    id integer primary key,
    manager_id integer references employees on delete set null,
    mentor_id integer references employees,
    department_id integer not null
);
create table departments (
    id integer primary key,
    head_id integer references employees
);
alter table employees add foreign key (department_id) references departments;
-- A longer cycle, of which one reference may be absent.
create table a (id integer primary key, b_id integer not null);
create table b (id integer primary key, c_id integer not null);
create table c (id integer primary key, a_id integer references a, a2_id integer references a);
alter table a add foreign key (b_id) references b;
alter table b add foreign key (c_id) references c;
-- Required throughout.
create schema strict;
grant usage on schema strict to service_role;
alter default privileges in schema strict grant select on tables to service_role;
create table strict.chicken (id integer primary key, egg_id integer not null);
create table strict.egg (id integer primary key, chicken_id integer not null references strict.chicken);
alter table strict.chicken add foreign key (egg_id) references strict.egg;
create table strict.tree (id integer primary key, parent_id integer not null references strict.tree);
