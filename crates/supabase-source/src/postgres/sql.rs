//! Every statement that discovery sends to Postgres. They read system catalogs of version 12 and later.
//!
//! Each is sent unnamed, so that a pooler in transaction mode passes it on, and each gives texts, booleans, integers and
//! arrays of texts only, so that no type has to be looked up.

/// Session settings of the one transaction: an empty search path makes the server write every name in full.
pub(super) const SETTINGS: &str = "
set local search_path = '';
set local standard_conforming_strings = on;
set local datestyle = 'ISO, YMD';
set local intervalstyle = 'postgres';
set local extra_float_digits = 1;
set local timezone = 'UTC'";

/// `PostgreSQL 15.18` and the role.
pub(super) const SERVER: &str = "
select current_setting('server_version'), current_user::text";

/// The names of tables in these schemas, or with these names, that row-level security hides rows of, as one text. The
/// schemas and pairs of names are literals.
pub(super) fn hidden_tables(schemas: &[String], names: &[String]) -> String {
    let schemas = schemas.iter().map(String::as_str).chain(["''"]).collect::<Vec<_>>().join(", ");
    let names = names.iter().map(String::as_str).chain(["('', '')"]).collect::<Vec<_>>().join(", ");
    format!(
        "select string_agg(n.nspname::text || '.' || c.relname::text, ', ' order by n.nspname, c.relname)
         from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
         where c.relkind in ('r', 'p') and not c.relispartition and pg_catalog.row_security_active(c.oid)
             and (n.nspname in ({schemas}) or (n.nspname, c.relname) in ({names}))"
    )
}

/// Schemas of $1, and the tables $3 of the schemas $2, are in scope.
macro_rules! in_scope {
    () => {
        "
    scope as (
        select c.oid, n.nspname::text as schema, c.relname::text as name, c.relkind, c.relnamespace
        from pg_catalog.pg_class c
        join pg_catalog.pg_namespace n on n.oid = c.relnamespace
        where c.relkind in ('r', 'p', 'v', 'm', 'f') and not c.relispartition
            and (n.nspname::text = any($1)
                or exists (
                    select from unnest($2, $3) as expected(schema, name)
                    where n.nspname::text = expected.schema and c.relname::text = expected.name))
    )"
    };
}

/// Tables and views: schema, name, kind, comment, rights, row-level security, bytes of rows.
pub(super) const RELATIONS: &str = concat!(
    "with",
    in_scope!(),
    "
select s.schema, s.name, s.relkind::text as kind,
    pg_catalog.obj_description(s.oid, 'pg_class') as comment,
    pg_catalog.has_schema_privilege(s.relnamespace, 'usage') and pg_catalog.has_any_column_privilege(s.oid, 'select')
        as readable,
    pg_catalog.has_schema_privilege(s.relnamespace, 'usage') as usable,
    pg_catalog.row_security_active(s.oid) as hidden,
    c.relrowsecurity as secured, c.relforcerowsecurity as forced,
    case when s.relkind = 'p' then (
            select coalesce(sum(pg_catalog.pg_relation_size(t.relid)), 0)::int8 from pg_catalog.pg_partition_tree(s.oid) t)
        when s.relkind in ('r', 'm') and c.relispopulated then pg_catalog.pg_relation_size(s.oid) end as bytes,
    case when s.relkind in ('v', 'm') then pg_catalog.pg_get_viewdef(s.oid) end as definition
from scope s
join pg_catalog.pg_class c on c.oid = s.oid
order by s.schema, s.name"
);

/// Columns, with domains followed to the types below them, those of arrays' elements too.
pub(super) const COLUMNS: &str = concat!(
    "with recursive",
    in_scope!(),
    ",
    domain_step as (
        select t.oid as domain, t.typbasetype as base, t.typtypmod as modifier, t.typnotnull as not_null, t.typndims as dimensions,
            t.typdefault as default_text
        from pg_catalog.pg_type t
        where t.typtype = 'd'
        union all
        select s.domain, t.typbasetype, case when s.modifier = -1 then t.typtypmod else s.modifier end,
            s.not_null or t.typnotnull, greatest(s.dimensions, t.typndims), coalesce(s.default_text, t.typdefault)
        from domain_step s
        join pg_catalog.pg_type t on t.oid = s.base and t.typtype = 'd'
    ),
    domain as (
        select s.*
        from domain_step s
        join pg_catalog.pg_type t on t.oid = s.base and t.typtype <> 'd'
    ),
    shaped as (
        select s.schema, s.name as relation, s.relkind, a.attrelid, a.attnum, a.attname::text as name, a.attgenerated, a.attidentity,
            a.attnotnull or coalesce(d.not_null, false) as not_null,
            case when d.domain is not null then pg_catalog.format_type(d.domain, -1) end as domain,
            coalesce(d.base, a.atttypid) as type,
            case when d.domain is null then a.atttypmod else d.modifier end as modifier,
            greatest(a.attndims, coalesce(d.dimensions, 0)) as dimensions,
            d.default_text
        from scope s
        join pg_catalog.pg_attribute a on a.attrelid = s.oid and a.attnum > 0 and not a.attisdropped
        left join domain d on d.domain = a.atttypid
    ),
    elements as (
        select s.*, t.typcategory = 'A' and t.typelem <> 0 as is_array,
            case when t.typcategory = 'A' and t.typelem <> 0 then t.typelem else s.type end as element
        from shaped s
        join pg_catalog.pg_type t on t.oid = s.type
    )
select e.schema, e.relation, e.name,
    case when d.domain is null then pg_catalog.format_type(e.type, e.modifier)
        else pg_catalog.format_type(d.base, d.modifier) || '[]' end as type_name,
    t.typname::text as element_name, t.typtype::text as element_kind,
    tn.nspname = 'pg_catalog' as is_builtin,
    coalesce(e.domain, case when d.domain is not null then pg_catalog.format_type(d.domain, -1) end) as domain,
    e.is_array, e.dimensions::int4 as dimensions,
    (case when d.domain is null then e.modifier else d.modifier end)::int4 as modifier,
    (select array_agg(l.enumlabel::text order by l.enumsortorder) from pg_catalog.pg_enum l where l.enumtypid = t.oid)
        as labels,
    e.not_null, e.attgenerated::text as generated, e.attidentity::text as identity,
    coalesce(pg_catalog.pg_get_expr(ad.adbin, ad.adrelid), e.default_text) as default_text,
    pg_catalog.col_description(e.attrelid, e.attnum) as comment
from elements e
left join domain d on d.domain = e.element and e.is_array
join pg_catalog.pg_type t on t.oid = coalesce(d.base, e.element)
join pg_catalog.pg_namespace tn on tn.oid = t.typnamespace
left join pg_catalog.pg_attrdef ad on ad.adrelid = e.attrelid and ad.adnum = e.attnum
order by e.schema, e.relation, e.attnum"
);

/// Primary keys, references and checks. What a partition inherits is of its parent.
pub(super) const CONSTRAINTS: &str = concat!(
    "with",
    in_scope!(),
    "
select s.schema, s.name as relation, k.contype::text as kind, k.conname::text as name,
    (select array_agg(a.attname::text order by u.position)
        from unnest(k.conkey) with ordinality as u(number, position)
        join pg_catalog.pg_attribute a on a.attrelid = k.conrelid and a.attnum = u.number) as columns,
    pn.nspname::text as parent_schema, p.relname::text as parent,
    (select array_agg(a.attname::text order by u.position)
        from unnest(k.confkey) with ordinality as u(number, position)
        join pg_catalog.pg_attribute a on a.attrelid = k.confrelid and a.attnum = u.number) as parent_columns,
    k.confdeltype::text as on_delete,
    case when k.contype = 'c' then pg_catalog.pg_get_constraintdef(k.oid) end as definition
from scope s
join pg_catalog.pg_constraint k on k.conrelid = s.oid and k.contype in ('p', 'f', 'c') and k.conparentid = 0
left join pg_catalog.pg_class p on p.oid = k.confrelid
left join pg_catalog.pg_namespace pn on pn.oid = p.relnamespace
order by s.schema, s.name, k.conname"
);

/// Indexes but those of primary keys; the columns are NULL where one of them is an expression.
pub(super) const INDEXES: &str = concat!(
    "with",
    in_scope!(),
    "
select s.schema, s.name as relation, c.relname::text as name, m.amname::text as method,
    i.indisunique as is_unique, i.indpred is not null as is_partial,
    case when i.indexprs is null then (
        select array_agg(a.attname::text order by u.position)
        from unnest(i.indkey::int2[]) with ordinality as u(number, position)
        join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = u.number
        where u.position <= i.indnkeyatts) end as columns
from scope s
join pg_catalog.pg_index i on i.indrelid = s.oid and i.indisvalid and not i.indisprimary
join pg_catalog.pg_class c on c.oid = i.indexrelid
join pg_catalog.pg_am m on m.oid = c.relam
order by s.schema, s.name, c.relname"
);

/// Policies: their table, name, command, roles and conditions.
pub(super) const POLICIES: &str = concat!(
    "with",
    in_scope!(),
    "
select s.schema, s.name as relation, p.polname::text as name, p.polcmd::text as command, p.polpermissive as is_permissive,
    array(select case when role = 0 then 'public' else pg_catalog.pg_get_userbyid(role)::text end
        from unnest(p.polroles) as role order by 1) as roles,
    pg_catalog.pg_get_expr(p.polqual, p.polrelid) as condition,
    pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid) as write_condition
from scope s
join pg_catalog.pg_policy p on p.polrelid = s.oid
order by s.schema, s.name, p.polname"
);

/// Triggers: when, what and the function. Their arguments are left out: those of webhooks hold keys.
pub(super) const TRIGGERS: &str = concat!(
    "with",
    in_scope!(),
    "
select s.schema, s.name as relation, t.tgname::text as name, t.tgtype::int4 as type, t.tgenabled = 'D' as is_disabled,
    fn.nspname::text || '.' || f.proname::text as function
from scope s
join pg_catalog.pg_trigger t on t.tgrelid = s.oid and not t.tgisinternal
join pg_catalog.pg_proc f on f.oid = t.tgfoid
join pg_catalog.pg_namespace fn on fn.oid = f.pronamespace
order by s.schema, s.name, t.tgname"
);

/// Functions and procedures of the schemas $1; those of extensions, and what a range type makes for itself, left out.
pub(super) const FUNCTIONS: &str = "
select n.nspname::text as schema, p.proname::text as name, p.prokind::text as kind,
    pg_catalog.pg_get_function_identity_arguments(p.oid) as arguments,
    pg_catalog.pg_get_function_result(p.oid) as result, l.lanname::text as language, p.prosecdef as is_definer
from pg_catalog.pg_proc p
join pg_catalog.pg_namespace n on n.oid = p.pronamespace
join pg_catalog.pg_language l on l.oid = p.prolang
where n.nspname::text = any($1) and p.prokind in ('f', 'p')
    and not exists (
        select from pg_catalog.pg_depend d
        where d.classid = 'pg_catalog.pg_proc'::regclass and d.objid = p.oid and d.deptype in ('e', 'i'))
order by 1, 2, 4";

/// Extensions with their version and schema.
pub(super) const EXTENSIONS: &str = "
select e.extname::text as name, e.extversion as version, n.nspname::text as schema
from pg_catalog.pg_extension e
join pg_catalog.pg_namespace n on n.oid = e.extnamespace
where e.extname <> 'plpgsql'
order by 1";

/// Tables that Realtime publishes.
pub(super) const REALTIME: &str = "
select schemaname::text as schema, tablename::text as name
from pg_catalog.pg_publication_tables
where pubname = 'supabase_realtime'
order by 1, 2";

/// Which of Supabase's own tables there are, whether this role may read them, and whether it sees only some of their rows.
pub(super) const OWN_TABLES: &str = "
select n.nspname::text || '.' || c.relname::text as name,
    pg_catalog.has_schema_privilege(n.oid, 'usage') and pg_catalog.has_table_privilege(c.oid, 'select') as readable,
    pg_catalog.row_security_active(c.oid) as hidden
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where (n.nspname::text, c.relname::text) in (('cron', 'job'), ('storage', 'buckets'), ('auth', 'users'))";

/// Jobs of `pg_cron`. The command is left out: those that call webhooks hold keys.
pub(super) const CRON_JOBS: &str = "
select coalesce(j.jobname::text, 'job ' || j.jobid::text) as name, j.schedule::text as schedule, j.active as is_active
from cron.job j
order by 1";

/// Buckets of files. Whether one is public stands in a column that old projects lack.
pub(super) const BUCKETS: &str = "
select b.id::text as name, (pg_catalog.to_jsonb(b) ->> 'public')::boolean as is_public
from storage.buckets b
order by 1";

/// The number of users.
pub(super) const USERS: &str = "
select count(*) as users from auth.users";

/// The number of rows of each of some tables, in one statement; `tables` are positions and names in SQL.
pub(super) fn count(tables: &[(usize, String)]) -> String {
    let counts = tables.iter().map(|(position, table)| format!("select {position}::int8, count(*) from {table}"));
    counts.collect::<Vec<_>>().join("\nunion all ")
}

/// Whether each of some tables has a row, in one statement.
pub(super) fn any_row(tables: &[(usize, String)]) -> String {
    let probes =
        tables.iter().map(|(position, table)| format!("select {position}::int8, exists (select from {table})"));
    probes.collect::<Vec<_>>().join("\nunion all ")
}
