-- A table for each family of types, a row for each edge value: the row's id says what it is about.
create extension if not exists hstore with schema extensions;
create extension if not exists ltree with schema extensions;

create type mood as enum ('sad', 'it''s "ok"', 'happy 😀', e'a\u2028b', '</script>', '');
create type address as (street text, zip integer, area numeric, seen timestamptz, raw bytea, extra json, mood mood);
create type journey as (start address, stops address[], length bigint);
create type float_range as range (subtype = float8, multirange_type_name = float_ranges);
create domain price as numeric(10, 2) check (value >= 0);
create domain list_price as price;
create domain positive as integer check (value > 0);
create domain label as text check (value <> '');
create domain tag_list as text[];
create domain meta_data as jsonb;
create domain feeling as mood;
create domain home as address;

create table numbers (
    id text primary key,
    small smallint, medium integer, big bigint, num numeric, price numeric(10, 2), exact15 numeric(15, 15), wide numeric(30, 10),
    rounded numeric(3, -2), single real, double double precision, flag boolean, cash money,
    doubled numeric(12, 2) generated always as (price * 2) stored
);
insert into numbers (id) values ('null');
insert into numbers (id, small, medium, big, num, price, exact15, wide, rounded, single, double, flag, cash) values
    ('zero', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, false, 0),
    ('max', 32767, 2147483647, 9223372036854775807, 1e100, 99999999.99, 0.999999999999999, 99999999999999999999.9999999999, 99900,
        3.4028235e38, 1.7976931348623157e308, true, '92233720368547758.07'),
    ('min', -32768, -2147483648, -9223372036854775808, -1e-100, -99999999.99, -0.999999999999999, -0.0000000001, -99900,
        1e-45, 5e-324, true, '-92233720368547758.08'),
    ('minus zero', null, null, null, '-0', '-0', '-0', '-0', '-0', '-0', '-0', null, '-0'),
    ('one and a half', 1, 1, 1, 1.500, 1.5, 0.5, 1.5, 149, 1.5, 1.5, true, 1.5),
    ('over 2^53', null, null, 9007199254740993, 9007199254740993, null, null, 9007199254740993, null, 16777216, 9007199254740992, null, null),
    ('at 2^53', null, null, 9007199254740992, 9007199254740992, null, null, null, null, 16777217, 9007199254740991, null, null),
    ('under -2^53', null, null, -9007199254740993, -9007199254740993, null, null, null, null, null, -9007199254740992, null, null),
    ('large', null, null, 1000000000000000, 1e15, null, null, null, null, 1e6, 1e15, null, null),
    ('larger', null, null, 100000000000000000, 1e22, null, null, null, null, 1e7, 1e308, null, 1000000),
    ('small', null, null, null, 0.0001, 0.01, 0.000000000000001, 0.0001, null, 1e-4, 1e-4, null, 0.01),
    ('smaller', null, null, null, 0.00001, null, null, 0.00001, null, 1e-5, 1e-5, null, null),
    ('tenth', null, null, null, 0.1, 0.1, 0.1, 0.1, null, 0.1, 0.1, null, 0.1),
    ('third', null, null, null, 1 / 3.0, 0.33, 0.333333333333333, 0.3333333333, null, 1 / 3.0, 1 / 3.0, null, 0.33),
    ('hard to print', null, null, null, 5e-324, null, null, null, null, 9.99999e9, 2.2250738585072014e-308, null, null),
    ('halfway', null, null, null, 179769313486231580793728971405301e276, null, null, null, null, 1.17549435e-38, 9.5367431640625e-7, null, null),
    ('nan', null, null, null, 'NaN', 'NaN', 'NaN', 'NaN', 'NaN', 'NaN', 'NaN', null, null),
    ('infinity', null, null, null, 'Infinity', null, null, null, null, 'Infinity', 'Infinity', null, null),
    ('minus infinity', null, null, null, '-Infinity', null, null, null, null, '-Infinity', '-Infinity', null, null);
insert into numbers (id, num) values
    ('131072 digits', (repeat('9', 131072) || '.' || repeat('1', 16383))::numeric),
    ('16383 decimals', ('-0.' || repeat('0', 16382) || '7')::numeric);

create table texts (
    id text primary key,
    body text, short varchar(8), fixed char(8), blank bpchar, either extensions.citext, title name, letter "char", code uuid,
    mood mood, status text check (status in ('new', 'it''s "old"', 'gone')), raw bytea, doc xml
);
insert into texts (id) values ('null');
insert into texts (id, body, short, fixed, blank, either, title, letter) values
    ('empty', '', '', '', '', '', '', ''),
    ('blanks', '  a  ', ' a ', ' a ', ' a ', ' A ', ' a ', ' '),
    ('padded', 'ab', 'ab', 'ab', 'ab', 'Ab', 'ab', 'a'),
    ('controls', e'\u0001\b\f\n\r\t\u001f', e'\n', e'\t', e'\r', e'\u0001', e'\n', e'\n'),
    ('delete', e'a\u007fb', e'\u007f', e'\u007f', e'\u007f', e'\u007f', e'\u007f', e'\u007f'),
    ('line ends', e'a\u2028b\u2029c\u0085', e'\u2028', e'\u2028', e'\u2029', e'\u2028', e'\u2028', null),
    ('quotes', e'"''\\/`${x}</script><!--', e'"\\''', e'"', e'\\', e'"\\', e'"\\', e'\\'),
    ('composed', e'\u00e9 e\u0301 \ufeffß', e'e\u0301', e'é', e'\ufeff', 'É', 'é', null),
    ('astral', '😀𝒳👩‍👩‍👧 \U0010ffff', '😀', '😀', '😀', '😀', '😀', null),
    ('not unicode', e'\ufffe\uffff\ufffd', e'\uffff', e'\ufffe', e'\ufffd', null, null, null),
    ('lookalikes', 'null', 'NaN', '[1]', '{"$in":1}', 'true', '1e5', '1');
insert into texts (id, body) values ('long', repeat('ÿ', 100000)), ('number', '9223372036854775808'), ('json', '{"a": null}');
insert into texts (id, code) values ('uuid', 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'), ('uuid nil', '00000000-0000-0000-0000-000000000000');
insert into texts (id, mood) select 'mood ' || n, (enum_range(null::mood))[n] from generate_series(1, 6) as n;
insert into texts (id, status) values ('status new', 'new'), ('status old', 'it''s "old"'), ('status gone', 'gone');
insert into texts (id, raw) values
    ('bytes none', ''), ('bytes nul', '\x00'), ('bytes text', 'abc'), ('bytes long', decode(repeat('00ff7f80', 25000), 'hex')),
    ('bytes all', (select decode(string_agg(lpad(to_hex(n), 2, '0'), '' order by n), 'hex') from generate_series(0, 255) as n));
insert into texts (id, doc) values ('xml', '<a b="1">é &lt; <!-- c --></a>'), ('xml text', 'no element'), ('xml empty', '');

create table times (
    id text primary key,
    day date, local timestamp, local_ms timestamp(3), instant timestamptz, instant_s timestamptz(0), clock time, clock_tz timetz, span interval
);
insert into times (id) values ('null');
insert into times (id, day, local, local_ms, instant, instant_s, clock, clock_tz, span) values
    ('epoch', '1970-01-01', '1970-01-01', '1970-01-01', '1970-01-01 00:00Z', '1970-01-01 00:00Z', '00:00', '00:00Z', '0'),
    ('milliseconds', '2024-02-29', '2024-02-29 12:34:56.789', '2024-02-29 12:34:56.789', '2024-02-29 12:34:56.789Z', '2024-02-29 12:34:56Z',
        '12:34:56.789', '12:34:56.789+05:30', '1 year 2 mons 3 days 04:05:06.789'),
    ('microseconds', '2024-12-31', '2024-12-31 23:59:59.999999', '2024-12-31 23:59:59.999', '2024-12-31 23:59:59.999999Z', '2024-12-31 23:59:59Z',
        '23:59:59.999999', '23:59:59.999999-15:59:59', '-0.000001 s'),
    ('before 1970', '1969-12-31', '1969-12-31 23:59:59.9995', '1969-12-31 23:59:59.999', '1969-12-31 23:59:59.9995Z', '1969-12-31 23:59:59Z',
        '00:00:00.000001', '00:00:00.1+15:59', '-1 days +02:00:00'),
    ('midnight', null, null, null, null, null, '24:00:00', '24:00:00+00', '24:00:00'),
    ('offset of seconds', null, null, null, '1900-01-01 00:00:00+00:19:32', '1900-01-01 00:00:00+00:19:32', null, '12:00:00+05:30:15', null),
    ('bc', '0044-03-15 BC', '0044-03-15 12:00 BC', '0044-03-15 12:00 BC', '0044-03-15 12:00Z BC', '0044-03-15 12:00Z BC', null, null, null),
    ('1 bc', '0001-12-31 BC', '0001-02-29 01:02:03.004005 BC', '0001-02-29 01:02:03.004 BC', '0001-02-29 01:02:03.004005Z BC', '0001-02-29 01:02:03Z BC', null, null, null),
    ('1 ad', '0001-01-01', '0001-01-01', '0001-01-01', '0001-01-01 00:00Z', '0001-01-01 00:00Z', null, null, null),
    ('earliest', '4713-01-01 BC', '4713-01-01 BC', '4713-01-01 BC', '4713-01-01 00:00Z BC', '4713-01-01 00:00Z BC', null, null, '-178000000 years'),
    ('end of 9999', '9999-12-31', '9999-12-31 23:59:59', '9999-12-31 23:59:59.999', '9999-12-31 23:59:59.999999Z', '9999-12-31 23:59:59Z', null, null, null),
    ('after 9999', '12345-06-07', '12345-06-07 08:09:10.111213', '12345-06-07 08:09:10.111', '12345-06-07 08:09:10.111213Z', '12345-06-07 08:09:10Z', null, null, '178000000 years'),
    ('last of javascript', '275760-09-13', '275760-09-13', '275760-09-13', '275760-09-13 00:00Z', '275760-09-13 00:00Z', null, null, null);
insert into times (id, instant) values
    ('instant past javascript', '275760-09-13 00:00:00.001Z'), ('instant latest', '294276-12-31 23:59:59.999999Z'),
    ('instant infinity', 'infinity'), ('instant minus infinity', '-infinity');
insert into times (id, day) values
    ('day past javascript', '275760-09-14'), ('day latest', '5874897-12-31'), ('day infinity', 'infinity'), ('day minus infinity', '-infinity');
insert into times (id, local) values ('local latest', '294276-12-31 23:59:59.999999'), ('local infinity', 'infinity');

create table documents (
    id text primary key,
    plain json, meta jsonb, pairs extensions.hstore, home address, trip journey, path extensions.ltree
);
insert into documents (id) values ('null');
insert into documents (id, plain, meta) values
    ('json null', 'null', 'null'), ('false', ' false ', 'false'), ('text', '"a\u0000b"', '"a\u2028\u007f\ud83d\ude00"'), ('empty object', '{ }', '{}'),
    ('empty array', '[ ]', '[]'), ('nested null', '{"a": [null, {"b": null}]}', '{"a": [null, {"b": null}]}'),
    ('repeated keys', '{"a": 1, "b": 2, "a": {"a": 3, "a": 4}}', '{"a": 1, "b": 2, "a": 3}'),
    ('numbers', '[-0, 0.0, 1E5, 1.0, 9007199254740992, 5e-324, 1e308]', '[-0, 0.0, 1E5, 1.0, 9007199254740992, 5e-324, 1e308]'),
    ('rounded', '[9007199254740993, {"a": 0.10000000000000000000000000001}]', '[9007199254740993, {"a": 0.10000000000000000000000000001}]'),
    ('tiny', '1e-400', '1e-400'),
    ('fine keys', '{"first name": 1, "a.b": 2, "a$_": 3, "1": 4, "constructor": 5}', '{"first name": 1, "a.b": 2, "a$_": 3, "1": 4, "toString": 5, "10": 6, "9": 7}');
insert into documents (id, meta) values
    ('key dollar', '{"$ref": 1}'), ('key underscore', '{"a": [{"_id": 1}]}'), ('key empty', '{"": 1}'), ('key umlaut', '{"größe": 1}'), ('key newline', '{"a\nb": 1}'),
    ('key delete', '{"a\u007f": 1}'), ('key proto', '{"__proto__": {"a": 1}}'), ('key percent', '{"50%": 1}'), ('meta huge', '[1e400]');
insert into documents (id, plain) values ('plain key', '{"$a": 1, "%24a": 2}'), ('plain huge', '-1e400'), ('plain surrogate', '"\ud800"'), ('plain spaces', e' {\t"a" :\n1.50 } ');
insert into documents (id, pairs) values
    ('hstore empty', ''), ('hstore', 'a=>1, b=>NULL, "c d"=>"e\"f", n=>"NULL"'), ('hstore key', '"größe"=>1');
insert into documents (id, home) values
    ('row', row ('Main "St", 1', 12345, 1.10, '2024-01-01 00:00:00.123456Z', '\xdeadbeef', '{"a": 1, "a": 2.50}', 'sad')),
    ('row of nulls', row (null, null, null, null, null, null, null)), ('row json null', row ('', 0, 'NaN', 'infinity', '', 'null', '')),
    ('row rounded', row (null, null, 0.10000000000000000000000000001, null, null, null, null));
insert into documents (id, trip) values
    ('rows in rows', row (row ('a', 1, 1, null, null, null, null), array[row ('b', 2, 2, null, null, null, null), null]::address[], 1)::journey),
    ('rows rounded', row (null, '{}', 9223372036854775807)::journey);
insert into documents (id, path) values ('path', 'Top.Science_1'), ('path empty', '');

create table kinds (
    id text primary key,
    ip inet, net cidr, mac macaddr, mac8 macaddr8, bits bit(5), more varbit, words tsvector, search tsquery,
    object oid, class regclass, type regtype, role regrole, tx xid8, lsn pg_lsn, place tid, steps jsonpath, numbers int2vector, objects oidvector, shot pg_snapshot,
    spot point, straight line, part lseg, area box, way path, outline polygon, round circle,
    ints int4range, bigs int8range, nums numrange, days daterange, locals tsrange, instants tstzrange, floats float_range,
    many_ints int4multirange, many_days datemultirange, many_floats float_ranges
);
insert into kinds (id) values ('null');
insert into kinds (id, ip, net) values
    ('host', '10.0.0.1', '10.0.0.1/32'), ('subnet', '192.168.0.1/24', '192.168.0.0/24'), ('ipv6', '::ffff:1.2.3.4/128', '2001:db8::/32'), ('any', '0.0.0.0/0', '0.0.0.0/0');
insert into kinds (id, mac, mac8) values ('mac', '08002b010203', '08002b0102030405');
insert into kinds (id, bits, more) values ('bits', b'10101', b'0'), ('no bits', b'00000', b'');
insert into kinds (id, words, search) values
    ('words', to_tsvector('simple', 'The cat''s "hat" é'), 'a & !(b:*A <2> c)'), ('no words', '', ''), ('weights', '''a b'':1A,16383B c', '''a''''b''');
insert into kinds (id, object, class, type, role, tx, lsn, place, steps, numbers, objects, shot) values
    ('server', 4294967295, 'numbers', 'numeric(10,2)[]', 'service_role', '18446744073709551615', 'FFFFFFFF/FFFFFFFF', '(4294967295,65535)',
        '$."a b"[*] ? (@ > 1)', '1 -2 3', '1 4294967295', '10:20:10,14'),
    ('unnamed', 0, 4294967290, 4294967290, 4294967290, '0', '0/0', '(0,0)', 'strict $', '', '', '1:1:');
insert into kinds (id, spot, straight, part, area, way, outline, round) values
    ('shapes', '(1.5,-2)', '{1,-1,0}', '[(0,0),(1,1)]', '(2,2),(0,0)', '[(0,0),(1,1)]', '((0,0),(1,1),(1,0))', '<(1,2),3>'),
    ('edges', '(NaN,Infinity)', '{-0,1e-5,1e300}', '[(0,0),(0,0)]', '(0,0),(0,0)', '((0,0),(5e-324,1e308))', '((0,0))', '<(-0,0),0>');
insert into kinds (id, ints, bigs, nums, days, locals, instants, floats, many_ints, many_days, many_floats) values
    ('empty ranges', 'empty', 'empty', 'empty', 'empty', 'empty', 'empty', 'empty', '{}', '{}', '{}'),
    ('ranges', '[1,3]', '[-9223372036854775808,9223372036854775807)', '(0.10,1.50]', '[2024-01-01,2024-12-31]', '[2024-01-01 01:02:03.5,infinity]',
        '[2024-01-01 00:00+05:30,2024-01-02 00:00:00.000001Z)', '(-0,1e308]', '{[1,2],[5,7]}', '{[2024-01-01,2024-01-31]}', '{[1,2),(3,Infinity]}'),
    ('open ranges', '(,)', '[1,)', '(,NaN]', '(,0044-03-15 BC]', '[-infinity,)', '(,"0044-03-15 00:00Z BC")', '(,5e-324]', '{(,)}', '{(,infinity)}', '{(,)}');

create table lists (
    id text primary key,
    smalls smallint[], ints integer[], bigs bigint[], nums numeric[], prices numeric(10, 2)[], singles real[], floats double precision[], flags boolean[],
    words text[], shorts varchar(5)[], fixed char(3)[], codes uuid[], raws bytea[], days date[], locals timestamp[], instants timestamptz[], clocks time[], spans interval[],
    cash money[], ips inet[], bits bit(3)[], moods mood[], homes address[], spots point[], areas box[], ranges int4range[], floats_in float_range[],
    docs jsonb[], texts json[], pairs extensions.hstore[], paths extensions.ltree[], objects oid[], docs_xml xml[], tags tag_list,
    grid integer[][], cube text[][][]
);
insert into lists (id) values ('null');
insert into lists values (
    'empty', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}',
    '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}');
insert into lists values (
    'one of each', '{1,-32768}', '{2147483647}', '{9223372036854775807,-1}', '{1.500,NaN,0.1}', '{1.50,-2}', '{0.1,-0,Infinity,1e6}', '{5e-324,-0,NaN,1e308,1e15}', '{t,f}',
    e'{"",NULLS,"NULL","a\\"b\\\\c",\u2028,"{}"}', '{ab}', '{a,abc}', '{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}', '{"\\xdeadbeef","\\x"}', '{2024-02-29,"0044-03-15 BC"}',
    '{"2024-01-01 00:00:00.1"}', '{"1970-01-01 00:00:00.001Z","2024-01-01 00:00+05:30"}', '{24:00:00}', '{"1 day","-00:00:01"}', '{$1.50}', '{10.0.0.1,10.0.0.0/8}', '{101}',
    e'{sad,"it''s \\"ok\\"",""}', array[row ('x', 1, 1.5, null, null, null, null)]::address[], '{"(1,2)"}', '{(1,1),(0,0);(2,2),(1,1)}', '{"[1,2]",empty}', '{"[0.5,1)"}',
    array['{"a": 1}', 'true', '"x"', '[1, 2]']::jsonb[], array['{"b": 1, "a": 1.0, "a": 2}', '1']::json[], array['a=>1', '']::extensions.hstore[], '{a.b}', '{1,4294967295}', '{<a/>}', '{x,y}',
    '{{1,2},{3,4}}', '{{{a,b}},{{c,""}}}');
insert into lists (id, words) values ('null elements', '{a,NULL}'), ('only null', '{NULL}'), ('two dimensions', '{{a,b},{c,d}}');
insert into lists (id, docs) values ('null documents', array['1', null, 'null']::jsonb[]);
insert into lists (id, ints) values ('other bounds', '[0:2]={7,8,9}'), ('null integers', '{NULL,1,NULL}');
insert into lists (id, grid) values ('one dimension', '{1,2}'), ('null in a grid', '{{1,NULL}}'), ('bounds of a grid', '[2:2][-1:0]={{5,6}}');
insert into lists (id, instants) values
    ('microseconds', array['2024-01-01 00:00:00.000001Z', '2024-01-01 00:00:00.000002Z', '2024-01-01Z']::timestamptz[]), ('infinite element', '{infinity}');
insert into lists (id, nums) values ('rounded elements', array[9007199254740993, 0.10000000000000000000001, 1]);
insert into lists (id, bigs) values ('over 2^53', '{9007199254740993}');
insert into lists (id, homes) values ('null row', array[null, row (null, null, null, null, null, null, null)]::address[]);
insert into lists (id, cube) values ('six dimensions', '{{{{{{a}}}}}}');

create table domains (
    id text primary key,
    price price, list_price list_price, amount positive not null default 1, name label, tags tag_list, meta meta_data, feeling feeling, home home,
    prices price[], metas meta_data[], feelings feeling[], homes home[]
);
insert into domains (id) values ('null');
insert into domains (id, price, list_price, amount, name, tags, meta, feeling, home, prices, metas, feelings, homes) values
    ('some', 1.50, 99999999.99, 2147483647, 'a', '{a,b}', '{"a": 1}', 'sad', row ('x', 1, 1, null, null, null, null), '{1.50,0}', array['1', '{"b": []}']::meta_data[],
        '{sad,sad}', array[row ('y', 2, 2, null, null, null, null)]::home[]),
    ('json null', null, null, 1, null, null, 'null', null, null, null, null, null, null),
    ('key', null, null, 1, null, null, '{"$a": 1}', null, null, null, null, null, null),
    ('other name', null, null, 1, 'b', null, null, null, null, null, null, null, null);

-- Documents at Convex's limits, and one past them.
create table limits (id text primary key, body text, meta jsonb, items integer[], raw bytea);
insert into limits (id, body)
select 'bytes ' || case more when 0 then 'most' else 'over' end, repeat('x', 1048576 - 61 - 2 - (11 + 2 + 10) - (5 + 2) + more)
from generate_series(0, 1) as more;
insert into limits (id, meta) values
    ('fields most', (select jsonb_object_agg('f' || n, n) from generate_series(1, 1024) as n)), ('fields over', (select jsonb_object_agg('f' || n, n) from generate_series(1, 1025) as n)),
    ('nesting most', (repeat('[', 15) || repeat(']', 15))::jsonb), ('nesting over', (repeat('[', 16) || repeat(']', 16))::jsonb),
    ('nesting far over', (repeat('[', 150) || repeat(']', 150))::jsonb),
    ('objects most', (repeat('{"a":', 14) || '{}' || repeat('}', 14))::jsonb), ('objects over', (repeat('{"a":', 15) || '{}' || repeat('}', 15))::jsonb),
    ('key most', jsonb_build_object(repeat('k', 1024), 1)), ('key over', jsonb_build_object(repeat('k', 1025), 1)),
    ('json items most', (select jsonb_agg(n) from generate_series(1, 8192) as n)), ('json items over', (select jsonb_agg(n) from generate_series(1, 8193) as n));
insert into limits (id, items) select 'items ' || case n when 8192 then 'most' else 'over' end, array_fill(7, array[n]) from generate_series(8192, 8193) as n;
insert into limits (id, raw) values ('raw over', decode(repeat('ff', 1048576), 'hex'));

-- Several pages, for counts with samples.
create table many (id bigint primary key, at timestamptz not null, ratio numeric not null);
insert into many
select n, '2024-01-01 00:00Z'::timestamptz + n * interval '0.0001 seconds', (n / 10.0) + case when n % 7 = 0 then 1e-25 else 0 end
from generate_series(1, 2500) as n;

-- More columns than a document may have fields.
do $$
begin
    execute 'create table wide (id text primary key, ' || (select string_agg(format('c%s integer', n), ', ' order by n) from generate_series(1, 1024) as n) || ')';
    execute 'insert into wide select ''over'', ' || (select string_agg(n::text, ', ' order by n) from generate_series(1, 1024) as n);
    execute 'insert into wide select ''most'', ' || (select string_agg(case when n <= 1021 then n::text else 'null' end, ', ' order by n) from generate_series(1, 1024) as n);
end
$$;

-- NULL may become a column's default, of whatever type.
create table defaulted (
    id text primary key,
    flag boolean default true, whole integer default -7, big bigint default 12, ratio double precision default 31.245270191439438, price numeric(10, 2) default 1.50,
    body text default e'it''s "a"\n\u2028\\', fixed char(5) default 'ab', code uuid default 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', mood mood default 'it''s "ok"',
    status text default 'new' check (status in ('new', 'old')), meta jsonb default '{"a": [1.5, null]}', plain json default '[ ]', tags text[] default array['a', 'b "c"', ''],
    wholes integer[] default array[1, 2], moods mood[] default array['sad', '']::mood[], span interval default '1 day', clock time default '24:00', bits bit(3) default b'101'
);
insert into defaulted (id) values ('default');
insert into defaulted values ('null', null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null);
insert into defaulted values (
    'none', false, 0, 0, 0, 0, '', '', '00000000-0000-0000-0000-000000000000', 'sad', 'old', 'null', 'null', '{}', '{}', '{}', '0', '0:00', b'000');
