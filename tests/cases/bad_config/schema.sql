create table orders (id integer primary key, total numeric, customer_id integer, placed_at timestamptz);
create table customers (id integer primary key, email text unique);
create table lines (order_id integer, number integer, primary key (order_id, number));
