"""The SQL of ``table_rows``: fixed texts, in which every name and value is a variable."""

# A table is named as counts name it.
_FIND = """\
select c.oid from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p') and not c.relispartition
  and case n.nspname when 'public' then '' else n.nspname || '.' end || c.relname = """

# With this search path every type is told with its schema, in both databases alike.
DESCRIBE = f"""\
set search_path = pg_catalog;
select coalesce(json_object_agg(a.attname, format_type(a.atttypid, a.atttypmod)), '{{}}') from pg_attribute a
where a.attrelid = ({_FIND}:'table') and a.attnum > 0 and not a.attisdropped;
"""

STAGE = f"""\
set search_path = pg_catalog;
set client_min_messages = warning;
drop schema if exists :"schema" cascade;
create schema :"schema";
select set_config('rollback.table', :'table', false), set_config('rollback.schema', :'schema', false),
  set_config('rollback.columns', :'columns', false) \\g /dev/null
do $$
declare
  place text := current_setting('rollback.schema');
  name text := current_setting('rollback.table');
  backup jsonb := current_setting('rollback.columns');
  target oid := ({_FIND}current_setting('rollback.table'));
  key oid;
  problem text;
begin
  if target is null then raise exception 'the live database has no table %', name; end if;
  if backup = '{{}}' then raise exception 'the backup has no table %', name; end if;
  select string_agg(format('column %s is %s now, %s in the backup', attname, format_type(atttypid, atttypmod),
      backup ->> attname), '; ' order by attnum) into problem
  from pg_attribute where attrelid = target and attnum > 0 and not attisdropped and attgenerated = ''
    and backup ->> attname <> format_type(atttypid, atttypmod);
  if problem is not null then raise exception 'table % changed: %', name, problem; end if;
  select string_agg(format('column %s came later, may not be empty and has no default', attname), '; ' order by attnum)
    into problem
  from pg_attribute where attrelid = target and attnum > 0 and not attisdropped and attgenerated = ''
    and attnotnull and not atthasdef and attidentity = '' and not backup ? attname;
  if problem is not null then raise exception 'table % changed: %', name, problem; end if;
  select indexrelid into key from pg_index i
  where indrelid = target and indisunique and indisvalid and indimmediate and indpred is null and indexprs is null
    and not exists (select from unnest(i.indkey[0:i.indnkeyatts - 1]) k
      join pg_attribute a on a.attrelid = target and a.attnum = k
      where not (a.attnotnull and backup ? a.attname) or a.attgenerated <> '')
  order by indisprimary desc, indnkeyatts, indexrelid limit 1;
  if key is null then raise exception 'table % has no key by which its rows are known', name; end if;
  execute format('create table %I.setting as select %s::oid::regclass as target, false as is_quiet', place, target);
  execute format('create table %I.columns (position int, name text, in_backup bool, is_settable bool, operator text)',
    place);
  execute format($s$insert into %I.columns
    select a.attnum, a.attname, $1 ? a.attname, a.attidentity <> 'a', o.operator
    from pg_attribute a left join (
      select i.indkey[k.position] as number, format('operator(%%I.%%s)', n.nspname, p.oprname) as operator
      from pg_index i cross join generate_series(0, i.indnkeyatts - 1) as k(position)
      join pg_opclass c on c.oid = i.indclass[k.position]
      join pg_amop m on m.amopfamily = c.opcfamily and m.amopstrategy = 3 and m.amoplefttype = c.opcintype
        and m.amoprighttype = c.opcintype
      join pg_operator p on p.oid = m.amopopr join pg_namespace n on n.oid = p.oprnamespace
      where i.indexrelid = $3) o on o.number = a.attnum
    where a.attrelid = $2 and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''$s$, place)
    using backup, target, key;
  execute format($s$select format('create unlogged table %%I.stage as select %%s from %%s with no data', %L,
      string_agg(quote_ident(name), ', ' order by position), $1::regclass) from %I.columns
    where in_backup$s$, place, place) into problem using target;
  execute problem;
end $$;
select target from :"schema".setting;
select string_agg(quote_ident(name), ', ' order by position) from :"schema".columns where in_backup;
"""

STAGED = """\
select :'counts'::json ->> :'table' as want, count(*) as have from :"schema".stage \\gset
select :'want' <> :'have' as differs \\gset
\\if :differs
  \\warn :have 'rows arrived, the manifest says' :want
  select 1/0 as "rows are missing";
\\endif
select format('create unique index on %I.stage (%s)', :'schema', string_agg(quote_ident(name), ', ' order by position))
from :"schema".columns where operator is not null
\\gexec
analyze :"schema".stage;
"""

MERGE = """\
select set_config('rollback.schema', :'schema', false), set_config('rollback.mode', :'mode', false),
  set_config('rollback.deletes', :'deletes', false), set_config('rollback.quiet', :'quiet', false) \\g /dev/null
begin;
set local lock_timeout = '10s';
do $$
declare
  place text := current_setting('rollback.schema');
  target regclass;
  rows_live text := pg_temp.listed(place, 'true', 't.');
  keys text := pg_temp.listed(place, 'operator is not null', '');
  cols text := pg_temp.listed(place, 'in_backup', '');
  matching text := pg_temp.matched(place, 't', 's');
  mine text := pg_temp.listed(place, 'in_backup and operator is null', 't.');
  theirs text := pg_temp.listed(place, 'in_backup and operator is null', 's.');
  settable text := pg_temp.listed(place, 'in_backup and operator is null and is_settable', '');
  given text := pg_temp.listed(place, 'in_backup and operator is null and is_settable', 's.');
  other text := 'false';
  before jsonb;
  waking text[] := '{}';
  statement text;
  q record;
  inserted bigint; changed bigint := 0; deleted bigint := 0; different bigint; conflicting bigint; extra bigint;
begin
  execute format('select target from %I.setting', place) into target;
  execute format('lock table %s in share row exclusive mode', target);
  if mine is not null then other := format('row(%s)::text is distinct from row(%s)::text', mine, theirs); end if;
  before := pg_temp.violations(target);
  execute format('create table %I.kept as select %s from %s t with no data', place, rows_live, target);
  execute format('create table %I.added as select %s from %s with no data', place, keys, target);
  if current_setting('rollback.quiet')::bool then
    waking := pg_temp.silence(target);
    execute format('update %I.setting set is_quiet = true', place);
  end if;
  if current_setting('rollback.deletes')::bool then
    execute format('create table %I.gone as select %s from %s t
      where not exists (select from %I.stage s where %s)', place,
      pg_temp.listed(place, 'operator is not null', 't.'), target, place, matching);
    perform pg_temp.unreferenced(place, target, 'gone');
    execute format('insert into %I.kept select %s from %s t where exists (select from %I.gone s where %s)', place,
      rows_live, target, place, matching);
    execute format('delete from %s t using %I.gone s where %s', target, place, matching);
    get diagnostics deleted = row_count;
    execute format('drop table %I.gone', place);
  end if;
  if current_setting('rollback.mode') = 'replace' and settable is not null then
    execute format('insert into %I.kept select %s from %s t join %I.stage s on %s where %s', place, rows_live, target,
      place, matching, other);
    execute format('update %s t set (%s) = row(%s) from %I.stage s where %s and %s', target, settable, given, place,
      matching, other);
    get diagnostics changed = row_count;
  end if;
  execute format('with new as (insert into %s (%s) overriding system value select %s from %I.stage s
      where not exists (select from %s t where %s) on conflict do nothing returning %s)
    insert into %I.added select * from new', target, cols, cols, place, target, matching, keys, place);
  get diagnostics inserted = row_count;
  set constraints all immediate;
  perform pg_temp.hold(before, pg_temp.violations(target));
  foreach statement in array waking loop execute statement; end loop;
  for q in
    select format('select setval(%L, m) from (select max(%I) as m from %s) x, %s l where m > l.last_value
        or (m = l.last_value and not l.is_called)', d.objid::regclass, a.attname, target, d.objid::regclass) as forward
    from pg_depend d join pg_sequence e on e.seqrelid = d.objid and e.seqincrement > 0
    join pg_attribute a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid
    where d.classid = 'pg_class'::regclass and d.refclassid = 'pg_class'::regclass and d.refobjid = target
      and d.deptype in ('a', 'i')
  loop
    execute q.forward;
  end loop;
  execute format('select count(*) from %s t join %I.stage s on %s where %s', target, place, matching, other)
    into different;
  execute format('select count(*) from %I.stage s where not exists (select from %s t where %s)', place, target,
    matching) into conflicting;
  execute format('select count(*) from %s t where not exists (select from %I.stage s where %s)', target, place,
    matching) into extra;
  execute format('drop table %I.stage', place);
  perform set_config('rollback.told', format('table %s: %s rows inserted, %s changed, %s deleted; %s still differ '
    'from the backup, %s could not come back because another row has their place, %s are not in the backup', target,
    inserted, changed, deleted, different, conflicting, extra), false);
end $$;
commit;
select current_setting('rollback.told');
"""

KEPT = """\
select coalesce(to_regclass(format('%I.kept', :'schema')), to_regclass(format('%I.changed_since', :'schema'))) is null
  as is_gone \\gset
\\if :is_gone
  \\warn 'the rows of before are no longer kept: there is no schema' :schema
  select 1/0 as "the kept rows are gone";
\\endif
"""

DISCARD = """\
select format('drop schema if exists %I cascade', :'schema') where to_regclass(format('%I.kept', :'schema')) is null
\\gexec
"""

UNDO = """\
set client_min_messages = warning;
select to_regclass(format('%I.kept', :'schema')) is not null as is_merged \\gset
select set_config('rollback.schema', :'schema', false), set_config('rollback.keeps', :'keeps', false) \\g /dev/null
begin;
set local lock_timeout = '30s';
\\if :is_merged
do $$
declare
  place text := current_setting('rollback.schema');
  target regclass;
  is_quiet bool;
  matching text := pg_temp.matched(place, 't', 's');
  cols text := pg_temp.listed(place, 'true', '');
  settable text := pg_temp.listed(place, 'operator is null and is_settable', '');
  given text := pg_temp.listed(place, 'operator is null and is_settable', 's.');
  before jsonb;
  waking text[] := '{}';
  statement text;
begin
  execute format('select target, is_quiet from %I.setting', place) into target, is_quiet;
  execute format('lock table %s in share row exclusive mode', target);
  before := pg_temp.violations(target);
  if current_setting('rollback.keeps')::bool then
    execute format('create table %I.changed_since as select t.* from %s t where exists (select from %I.added s where %s)
      or exists (select from %I.kept s where %s)', place, target, place, matching, place, matching);
  end if;
  if is_quiet then waking := pg_temp.silence(target); end if;
  perform pg_temp.unreferenced(place, target, 'added');
  execute format('delete from %s t using %I.added s where %s', target, place, matching);
  if settable is not null then
    execute format('update %s t set (%s) = row(%s) from %I.kept s where %s', target, settable, given, place, matching);
  end if;
  execute format('insert into %s (%s) overriding system value select %s from %I.kept s
    where not exists (select from %s t where %s)', target, cols, cols, place, target, matching);
  set constraints all immediate;
  perform pg_temp.hold(before, pg_temp.violations(target));
  foreach statement in array waking loop execute statement; end loop;
end $$;
\\endif
select to_regclass(format('%I.changed_since', :'schema')) is not null as is_kept \\gset
\\if :is_kept
select format('drop table %I.%I cascade', :'schema', relname) from pg_class
where relnamespace = to_regnamespace(quote_ident(:'schema')) and relkind = 'r' and relname <> 'changed_since'
\\gexec
\\else
drop schema if exists :"schema" cascade;
\\endif
commit;
"""
