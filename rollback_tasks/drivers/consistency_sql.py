"""What makes the data of a database whole, asked from its catalogue: every statement here writes the checks that the
server then runs.

A check is two statements: the first answers an array that names it (``["foreign-key", "events.events_user_id_fkey"]``),
the second an object. One that cannot be run answers nothing, and the next goes on.
"""

from __future__ import annotations

from rollback_tasks.ports import Statement

_NAME = "case {n}.nspname when 'public' then '' else {n}.nspname || '.' end || {c}.relname"
# The application's own; a rehearsal of this tool may be under way in a schema of its own.
_OWN = "{n}.nspname !~ '^pg_' and {n}.nspname not in ('information_schema', 'rollback_rehearsal')"
_SAY = "format('select json_build_array(%L, %L)', '{check}', {name})"


def _generated(check: str, *, name: str, text: str, source: str) -> Statement:
    return Statement(f"select {_SAY.format(check=check, name=name)},\n {text}\n{source}", runs_answer=True)


def _summary(check: str, text: str) -> tuple[Statement, Statement]:
    return Statement(f"select json_build_array('{check}', '')"), Statement(text)


ROWS = _generated(
    "rows",
    name=_NAME.format(n="n", c="c"),
    text="format('select json_build_object(''count'', count(*)) from %s', c.oid::regclass)",
    source=f"""\
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p') and not c.relispartition and c.relpersistence <> 't' and {_OWN.format(n="n")}
order by n.nspname, c.relname""",
)

# An anti-join with the constraint's own operators. MATCH SIMPLE (the default) lets a key with a null pass; MATCH FULL
# lets only a key of nulls pass. What PostgreSQL 18 adds (NOT ENFORCED, PERIOD) is read so that older servers do not
# mind.
FOREIGN_KEYS = _generated(
    "foreign-key",
    name=f"{_NAME.format(n='s', c='t')} || '.' || con.conname",
    text="""\
 format('select json_build_object(''count'', count(*), ''sample'', min(concat_ws('', '', %s)), ''parent'', %L, '
     '''validated'', %L::bool) from %s c where (%s) and not exists (select from %s p where %s)',
  (select string_agg(format('c.%I::text', a.attname), ', ' order by k.o)
    from unnest(con.conkey) with ordinality k(n, o)
    join pg_attribute a on a.attrelid = con.conrelid and a.attnum = k.n),
  con.confrelid::regclass, con.convalidated and coalesce((to_jsonb(con)->>'conenforced')::bool, true),
  con.conrelid::regclass,
  (select string_agg(format('c.%I is not null', a.attname),
      case con.confmatchtype when 'f' then ' or ' else ' and ' end)
    from unnest(con.conkey) k join pg_attribute a on a.attrelid = con.conrelid and a.attnum = k),
  con.confrelid::regclass,
  (select string_agg(format('p.%I operator(%I.%s) c.%I', pa.attname, n.nspname, o.oprname, ca.attname), ' and ')
    from unnest(con.conkey, con.confkey, con.conpfeqop) as x(child, parent, operator)
    join pg_attribute ca on ca.attrelid = con.conrelid and ca.attnum = x.child
    join pg_attribute pa on pa.attrelid = con.confrelid and pa.attnum = x.parent
    join pg_operator o on o.oid = x.operator join pg_namespace n on n.oid = o.oprnamespace))""",
    source=f"""\
from pg_constraint con join pg_class t on t.oid = con.conrelid join pg_namespace s on s.oid = t.relnamespace
where con.contype = 'f' and con.conparentid = 0 and {_OWN.format(n="s")}
  and not coalesce((to_jsonb(con)->>'conperiod')::bool, false)
order by s.nspname, t.relname, con.conname""",
)

# Partitions inherit theirs: the parent's covers them.
CHECKS = _generated(
    "check",
    name=f"{_NAME.format(n='s', c='t')} || '.' || con.conname",
    text="""\
 format('select json_build_object(''count'', count(*), ''validated'', %L::bool) from %s where not (%s)',
  con.convalidated and coalesce((to_jsonb(con)->>'conenforced')::bool, true), con.conrelid::regclass,
  pg_get_expr(con.conbin, con.conrelid))""",
    source=f"""\
from pg_constraint con join pg_class t on t.oid = con.conrelid join pg_namespace s on s.oid = t.relnamespace
where con.contype = 'c' and con.coninhcount = 0 and t.relkind in ('r', 'p') and {_OWN.format(n="s")}
order by s.nspname, t.relname, con.conname""",
)

# The index may be what is corrupt, so the keys are taken from the table: index scans are off. The keys get names first,
# as GROUP BY would take a constant for something else. num_nulls looks at the key, IS NULL into a composite one.
NO_INDEX_SCANS = tuple(Statement(f"set enable_{way} = off") for way in ("indexscan", "indexonlyscan", "bitmapscan"))
UNIQUE = _generated(
    "unique",
    name=_NAME.format(n="n", c="x"),
    text="""\
 format('select json_build_object(''count'', count(*), ''table'', %L) from (select from (select %s from %s %s) k '
     'group by %s having count(*) > 1) d',
  i.indrelid::regclass,
  (select string_agg(pg_get_indexdef(i.indexrelid, k, true) || ' as k' || k, ', ')
    from generate_series(1, i.indnkeyatts) k),
  i.indrelid::regclass,
  'where ' || concat_ws(' and ', '(' || coalesce(pg_get_expr(i.indpred, i.indrelid), 'true') || ')',
    case when not coalesce((to_jsonb(i)->>'indnullsnotdistinct')::bool, false) then
      (select 'num_nulls(' || string_agg(pg_get_indexdef(i.indexrelid, k, true), ', ') || ') = 0'
        from generate_series(1, i.indnkeyatts) k) end),
  (select string_agg('k' || k, ', ') from generate_series(1, i.indnkeyatts) k))""",
    source=f"""\
from pg_index i join pg_class c on c.oid = i.indrelid join pg_class x on x.oid = i.indexrelid
join pg_namespace n on n.oid = x.relnamespace
where i.indisunique and i.indisvalid and i.indisready and c.relkind in ('r', 'm') and c.relispopulated
  and c.relpersistence <> 't' and {_OWN.format(n="n")}
order by n.nspname, x.relname""",
)

# Owned (serial, identity) or named by a plain default. `is_called` says whether last_value was already handed out.
SEQUENCES = _generated(
    "sequence",
    name=f"{_NAME.format(n='n', c='s')}",
    text="""\
 format('select json_build_object(''count'', (coalesce(%s(t.%I), %s) %s s.last_value + case when s.is_called '
     'then %s else 0 end)::int, ''last'', s.last_value, ''used'', coalesce(%s(t.%I)::text, ''none''), ''column'', %L) '
     'from %s s left join %s t on true group by s.last_value, s.is_called',
  case when q.seqincrement > 0 then 'max' else 'min' end, a.attname,
  case when q.seqincrement > 0 then 's.last_value - 1' else 's.last_value + 1' end,
  case when q.seqincrement > 0 then '>=' else '<=' end, q.seqincrement,
  case when q.seqincrement > 0 then 'max' else 'min' end, a.attname,
  r.relname || '.' || a.attname, s.oid::regclass, r.oid::regclass)""",
    source=f"""\
from (select objid as seq, refobjid as rel, refobjsubid as att from pg_depend
    where classid = 'pg_class'::regclass and refclassid = 'pg_class'::regclass and deptype in ('a', 'i')
      and refobjsubid > 0
  union
  select d.refobjid, f.adrelid, f.adnum from pg_depend d join pg_attrdef f on f.oid = d.objid
    where d.classid = 'pg_attrdef'::regclass and d.refclassid = 'pg_class'::regclass
      and pg_get_expr(f.adbin, f.adrelid) ~ '^nextval\\(''[^'']*(''''[^'']*)*''::regclass\\)$') u
join pg_class s on s.oid = u.seq and s.relkind = 'S' join pg_sequence q on q.seqrelid = s.oid and not q.seqcycle
join pg_class r on r.oid = u.rel and r.relkind in ('r', 'p')
join pg_attribute a on a.attrelid = r.oid and a.attnum = u.att and not a.attisdropped
  and a.atttypid in ('int2'::regtype, 'int4'::regtype, 'int8'::regtype, 'numeric'::regtype)
join pg_namespace n on n.oid = s.relnamespace
where {_OWN.format(n="n")} and s.relpersistence <> 't' and not r.relispartition
order by n.nspname, s.relname, r.relname""",
)

# One that is being built now is invalid for the time.
INDEXES = _summary(
    "index",
    f"""\
select json_build_object('checked', count(*), 'found', coalesce(json_agg(json_build_object('name', name, 'says',
  case when is_ready then 'is invalid: no query uses it' else 'is half built' end || ', on ' || rel) order by name)
  filter (where not is_good), '[]'::json))
from (select {_NAME.format(n="n", c="x")} as name, i.indrelid::regclass::text as rel, i.indisready as is_ready,
    i.indisvalid and i.indisready
      or exists (select from pg_stat_progress_create_index p where p.index_relid = x.oid) as is_good
  from pg_index i join pg_class x on x.oid = i.indexrelid join pg_namespace n on n.oid = x.relnamespace
  where {_OWN.format(n="n")}) t""",
)

CONSTRAINTS = _summary(
    "constraint",
    f"""\
select json_build_object('checked', count(*), 'notes', coalesce(json_agg(name || ' is not validated: rows from before '
  'it was added were never looked at' order by name) filter (where not convalidated), '[]'::json),
  'unchecked', count(*) filter (where contype = 'x'))
from (select {_NAME.format(n="n", c="t")} || '.' || con.conname as name, con.convalidated, con.contype
  from pg_constraint con join pg_class t on t.oid = con.conrelid join pg_namespace n on n.oid = t.relnamespace
  where {_OWN.format(n="n")} and con.conparentid = 0) t""",
)

# Internal ones are those of foreign keys: `disable trigger all` switches the constraints off with them.
TRIGGERS = _summary(
    "trigger",
    f"""\
select json_build_object('checked', coalesce(sum(all_of), 0), 'found', coalesce(json_agg(json_build_object('name',
  name, 'says', case when is_internal then 'enforces no foreign key: ' || off || ' of its triggers are disabled'
    else 'is disabled' end) order by name) filter (where off > 0), '[]'::json))
from (select {_NAME.format(n="n", c="c")} || case when t.tgisinternal then '' else '.' || t.tgname end as name,
    t.tgisinternal as is_internal, count(*) as all_of, count(*) filter (where t.tgenabled = 'D') as off
  from pg_trigger t join pg_class c on c.oid = t.tgrelid join pg_namespace n on n.oid = c.relnamespace
  where {_OWN.format(n="n")} group by 1, 2) t""",
)

CHECKSUMS = _summary(
    "checksum",
    """\
select json_build_object('checked', (current_setting('data_checksums') = 'on')::int,
  'notes', case current_setting('data_checksums') when 'on' then '[]'::json else json_build_array(
    'data checksums are off: a page that the disk damaged is not noticed') end,
  'found', case when coalesce(checksum_failures, 0) = 0 then '[]'::json else json_build_array(json_build_object(
    'name', 'pages', 'count', checksum_failures, 'says', checksum_failures || ' failures so far, the last at '
    || to_char(checksum_last_failure at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'))) end)
from pg_stat_database where datname = current_database()""",
)

# Both functions answer null for a locale without versions. PostgreSQL 15 is the first that keeps the database's own.
_STALE = "text indexes may be in the wrong order: REINDEX, then ALTER ... REFRESH COLLATION VERSION"
COLLATIONS = (
    _generated(
        "collation",
        name="'database'",
        text=f"""\
 'select json_build_object(''count'', (datcollversion is distinct from v)::int, ''says'', ''made with version ''
   || datcollversion || '', the library now has '' || coalesce(v, ''none'') || '': {_STALE}'')
   from (select datcollversion, pg_database_collation_actual_version(oid) as v from pg_database
     where datname = current_database() and datcollversion is not null) d'""",
        source="""\
from pg_database d where datname = current_database() and to_jsonb(d)->>'datcollversion' is not null
  and to_regprocedure('pg_catalog.pg_database_collation_actual_version(oid)') is not null""",
    ),
    *_summary(
        "collation",
        f"""\
select json_build_object('checked', count(*), 'found', coalesce(json_agg(json_build_object('name', collname, 'says',
  'made with version ' || collversion || ', the library now has ' || coalesce(v, 'none') || ': {_STALE}')
  order by collname) filter (where collversion is distinct from v), '[]'::json))
from (select c.collname, c.collversion, pg_collation_actual_version(c.oid) as v from pg_collation c
  where c.collversion is not null and exists (select from pg_depend d
    where d.refclassid = 'pg_collation'::regclass and d.refobjid = c.oid)) t""",
    ),
)

AMCHECK = _summary(
    "amcheck",
    """\
select json_build_object('checked', 0, 'installed', (select n.nspname from pg_extension e
    join pg_namespace n on n.oid = e.extnamespace where e.extname = 'amcheck'),
  'available', exists (select from pg_available_extensions where name = 'amcheck'))""",
)

# Made inside of a transaction that is rolled back: nothing of it stays. `schema` is empty where it is installed.
BORROW = (Statement("create schema rollback_amcheck"), Statement("create extension amcheck schema rollback_amcheck"))
_EXTENSION = "pg_extension e join pg_namespace es on es.oid = e.extnamespace and e.extname = 'amcheck'"
STRUCTURE = (
    _generated(
        "index-structure",
        name=_NAME.format(n="n", c="x"),
        text="""\
 format('select json_build_object(''count'', 0, ''done'', %I.bt_index_check(%s::regclass, true)::text)',
  es.nspname, x.oid)""",
        source=f"""\
from {_EXTENSION}, pg_index i join pg_class x on x.oid = i.indexrelid join pg_am m on m.oid = x.relam
join pg_namespace n on n.oid = x.relnamespace
where m.amname = 'btree' and x.relkind = 'i' and x.relpersistence = 'p' and i.indisvalid and i.indisready
order by n.nspname, x.relname""",
    ),
    _generated(
        "table-structure",
        name=_NAME.format(n="n", c="c"),
        text="""\
 format('select json_build_object(''count'', count(*), ''says'', min(msg)) from %I.verify_heapam(%s::regclass)',
  es.nspname, c.oid)""",
        source=f"""\
from {_EXTENSION}, pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'm', 't') and c.relpersistence = 'p' and c.relam <> 0
  and exists (select from pg_proc p where p.proname = 'verify_heapam' and p.pronamespace = es.oid)
order by n.nspname, c.relname""",
    ),
)
