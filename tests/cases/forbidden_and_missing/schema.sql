create table open (id integer primary key, secret_id integer);
create table secret (id integer primary key);
create table "Secret Notes" (id integer primary key);
create schema private;
create table private.keys (id integer primary key);
revoke all on secret, "Secret Notes" from service_role;
alter table open add foreign key (secret_id) references secret;
