"""Functions that live for one session, for the SQL of ``table_rows``."""

FUNCTIONS = """\
set client_min_messages = warning;
create function pg_temp.matched(place text, l text, r text) returns text language plpgsql as $f$
declare told text;
begin
  execute format('select string_agg(format(''%%s.%%I %%s %%s.%%I'', $1, name, operator, $2, name), '' and '')
    from %I.columns where operator is not null', place) into told using l, r;
  return told;
end $f$;
create function pg_temp.listed(place text, which text, before text) returns text language plpgsql as $f$
declare told text;
begin
  execute format('select string_agg($1 || quote_ident(name), '', '' order by position) from %I.columns where %s', place,
    which) into told using before;
  return told;
end $f$;
-- Rows that break a foreign key of or to a table, by constraint.
create function pg_temp.violations(target regclass) returns jsonb language plpgsql as $f$
declare con record; count bigint; found jsonb := '{}';
begin
  for con in
    select o.conrelid::regclass as child, o.confrelid::regclass as parent, o.conname,
      (select string_agg(format('c.%I is not null', a.attname),
          case o.confmatchtype when 'f' then ' or ' else ' and ' end)
        from unnest(o.conkey) k join pg_attribute a on a.attrelid = o.conrelid and a.attnum = k) as keyed,
      (select string_agg(format('p.%I operator(%I.%s) c.%I', pa.attname, n.nspname, p.oprname, ca.attname), ' and ')
        from unnest(o.conkey, o.confkey, o.conpfeqop) as x(child, parent, operator)
        join pg_attribute ca on ca.attrelid = o.conrelid and ca.attnum = x.child
        join pg_attribute pa on pa.attrelid = o.confrelid and pa.attnum = x.parent
        join pg_operator p on p.oid = x.operator join pg_namespace n on n.oid = p.oprnamespace) as joined
    from pg_constraint o where o.contype = 'f' and o.conparentid = 0 and target in (o.conrelid, o.confrelid)
  loop
    execute format('select count(*) from %s c where (%s) and not exists (select from %s p where %s)', con.child,
      con.keyed, con.parent, con.joined) into count;
    found := found || jsonb_build_object(con.child || '.' || con.conname, count);
  end loop;
  return found;
end $f$;
create function pg_temp.hold(before jsonb, after jsonb) returns void language plpgsql as $f$
declare told text;
begin
  select string_agg(format('%s rows break foreign key %s, %s did before', value, key, before ->> key), '; ') into told
  from jsonb_each_text(after) where value::bigint > coalesce((before ->> key)::bigint, 0);
  if told is not null then raise exception 'nothing was changed: %', told; end if;
end $f$;
-- What refers to rows of a table whose keys stand in `listing`: deleting them would take it along, or fail.
create function pg_temp.unreferenced(place text, target regclass, listing text) returns void language plpgsql as $f$
declare con record; count bigint; told text := '';
begin
  for con in
    select o.conrelid::regclass as child, o.conname,
      (select string_agg(format('p.%I operator(%I.%s) c.%I', pa.attname, n.nspname, p.oprname, ca.attname), ' and ')
        from unnest(o.conkey, o.confkey, o.conpfeqop) as x(child, parent, operator)
        join pg_attribute ca on ca.attrelid = o.conrelid and ca.attnum = x.child
        join pg_attribute pa on pa.attrelid = o.confrelid and pa.attnum = x.parent
        join pg_operator p on p.oid = x.operator join pg_namespace n on n.oid = p.oprnamespace) as joined
    from pg_constraint o where o.contype = 'f' and o.conparentid = 0 and o.confrelid = target
  loop
    execute format('select count(*) from %s c join %s p on %s where exists (select from %I.%I k where %s)%s', con.child,
      target, con.joined, place, listing, pg_temp.matched(place, 'p', 'k'),
      case when con.child = target then format(' and not exists (select from %I.%I k where %s)', place, listing,
        pg_temp.matched(place, 'c', 'k')) else '' end) into count;
    if count > 0 then told := told || format('; %s rows of %s (%s)', count, con.child, con.conname); end if;
  end loop;
  if told <> '' then
    raise exception 'nothing was changed: rows would have to be deleted that others refer to%', told;
  end if;
end $f$;
-- The table's own triggers, that fire, fall silent; told as what wakes them again.
create function pg_temp.silence(target regclass) returns text[] language plpgsql as $f$
declare t record; waking text[] := '{}';
begin
  for t in select * from pg_trigger where tgrelid = target and not tgisinternal and tgenabled <> 'D' loop
    execute format('alter table %s disable trigger %I', target, t.tgname);
    waking := waking || format('alter table %s enable %s trigger %I', target,
      case t.tgenabled when 'A' then 'always' when 'R' then 'replica' else '' end, t.tgname);
  end loop;
  return waking;
end $f$;
"""
