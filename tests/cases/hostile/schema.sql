create type evil as enum ('a"b', 'it''s', 'back\slash', E'new\nline', '`${x}`', '*/', '</script>', '', E'\u2028', 'ünï', E'tab\there');
create table "</script>" ("""; drop" integer primary key, "a""b" text, "a'b" text, "a\b" text, "*/" text, "${x}" text, "`" text);
create table "a*/ export const x = 1; /*" (id integer primary key, evil evil not null default E'new\nline', evils evil[]);
create table "line
break" (id integer primary key, "line
break" text, ref integer references "</script>");
create table "'; drop table x; --" (id integer primary key, "text" text check ("text" in ('x"', 'y\', E'z\n', '</script>')));
comment on table "</script>" is '</script><script>alert(1)</script>';
comment on column "</script>"."a""b" is E'*/\n// x\n{{ marker }} {% raw %}';
