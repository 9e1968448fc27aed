create table "order items" ("Item Id" integer primary key, "unit price" integer, "unit_price" integer, "UnitPrice" integer);
create table order_items (id integer primary key, "order" integer references "order items");
create table "OrderItems" (id integer primary key);
create table "order-items" (id integer primary key);
create table _private (_id integer primary key, _creation_time timestamptz, "__proto__" text, "_" text);
create table "2fa_codes" ("1st" integer primary key, "2nd" text, "3.5" text);
create table "größe" ("schlüssel" integer primary key, "maß" text, "straße" text);
create table "заказы" (id integer primary key, "имя" text, "имя2" text, "цена" numeric(8, 2));
create table "注文" (id integer primary key, "名前" text);
create table "🙂" (id integer primary key, "🙂" text, "🙃" text);
create table "with.dot" (id integer primary key, "a.b" text, a text, "tenant.id" integer references "order items");
create table "class" (id integer primary key, "constructor" text, "toString" text, "valueOf" text, "default" text, "delete" text, "then" text, "supabaseId" text, "supabase_id" text);
create table sixty_three_characters_are_what_postgres_takes_at_most_for_names (
    id integer primary key,
    a_very_long_column_name_that_goes_on_until_postgres_has_enough1 integer,
    a_very_long_column_name_that_goes_on_until_postgres_has_enough2 integer,
    unique (
        a_very_long_column_name_that_goes_on_until_postgres_has_enough1,
        a_very_long_column_name_that_goes_on_until_postgres_has_enough2
    )
);
create table "UPPER" ("ID" integer primary key, "URL" text, "userID" text, "HTTPCode" text);
create table " padded " (id integer primary key, " padded " text, "tab	tab" text);
create schema other;
grant usage on schema other to service_role;
alter default privileges in schema other grant select on tables to service_role;
create table other.order_items (id integer primary key);
create table other.constructor (id integer primary key);
create schema "My Schema";
grant usage on schema "My Schema" to service_role;
alter default privileges in schema "My Schema" grant select on tables to service_role;
create table "My Schema"."My.Table" (id integer primary key);
