-- What an org may have. Limits that are null are none; an org without a row has no quota.
CREATE TABLE quotas (
  org_id text PRIMARY KEY,
  -- {maxSessions, maxRunning, cpuMillis, memoryMib, perUser{the same}, perTemplate{name: {the same}}}
  document jsonb NOT NULL,
  version bigint NOT NULL,
  updated_at timestamptz NOT NULL DEFAULT now()
);

-- What an org with a quota has: of the org (name ''), of each user, of each template. Kept by whatever changes a
-- session (trigger below) or makes one. The org's own row is the lock of all three: whoever takes from the quota holds it until the commit. Orgs without
-- a quota have no rows, and pay for none.
CREATE TABLE quota_usage (
  org_id text NOT NULL,
  scope text NOT NULL CHECK (scope IN ('org', 'user', 'template')),
  name text NOT NULL,
  sessions bigint NOT NULL,
  running bigint NOT NULL,
  cpu_millis bigint NOT NULL,
  memory_mib bigint NOT NULL,
  PRIMARY KEY (org_id, scope, name)
) WITH (fillfactor = 50);

ALTER TABLE quotas ENABLE ROW LEVEL SECURITY;
CREATE POLICY system ON quotas TO streamspace_system USING (true);
-- New sessions of several orgs are written together, each under the quota of its own.
CREATE POLICY visible ON quotas FOR SELECT TO streamspace_tenant USING (org_id = ANY (streamspace_orgs()));
GRANT SELECT ON quotas TO streamspace_tenant;
GRANT SELECT, INSERT, UPDATE, DELETE ON quotas TO streamspace_system;

ALTER TABLE quota_usage ENABLE ROW LEVEL SECURITY;
CREATE POLICY system ON quota_usage TO streamspace_system USING (true);
CREATE POLICY own ON quota_usage TO streamspace_tenant USING (org_id = ANY (streamspace_orgs()));
GRANT SELECT, INSERT, UPDATE ON quota_usage TO streamspace_tenant;
GRANT SELECT, INSERT, UPDATE, DELETE ON quota_usage TO streamspace_system;

-- Those of the orgs whose sessions are counted, their rows locked by now. Whoever sets the first quota of an org counts what it has: what is
-- being written meanwhile without knowing of the quota has to be committed by then. So whoever finds no rows says that it is writing (a
-- shared advisory lock, until its commit), and looks again. Each query of a function sees what was committed before it began.
--
-- Statements of ours call it before they lock anything but leases, so that each knows from its beginning to its end whether it counts, and
-- everybody locks in one order: leases, quotas, agents, sessions. The trigger calls it again, for those that did not.
CREATE FUNCTION lock_quota_usage(orgs text[]) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
  counted text[];
BEGIN
  counted := ARRAY(SELECT org_id FROM quota_usage WHERE org_id = ANY (orgs) AND scope = 'org' ORDER BY org_id FOR NO KEY UPDATE);
  IF counted @> orgs THEN RETURN counted; END IF;
  PERFORM pg_advisory_xact_lock_shared(730211, hashtext(org_id))
     FROM (SELECT org_id FROM unnest(orgs) org_id WHERE org_id <> ALL (counted) ORDER BY 1) uncounted;
  RETURN ARRAY(SELECT org_id FROM quota_usage WHERE org_id = ANY (orgs) AND scope = 'org' ORDER BY org_id FOR NO KEY UPDATE);
END $$;

-- The same for new sessions, which an org that is being deleted meanwhile gets no more of: whoever deletes one waits for those that are
-- being written, counts them, and is waited for here.
CREATE FUNCTION lock_quota_usage_of_new(made_in text[]) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
  counted text[] := lock_quota_usage(made_in);
BEGIN
  IF EXISTS (SELECT FROM orgs WHERE id = ANY (made_in) AND deleted_at IS NOT NULL) THEN
    RAISE EXCEPTION 'the org was deleted' USING ERRCODE = 'foreign_key_violation';
  END IF;
  RETURN counted;
END $$;

-- It has to see that for each of the orgs for which new rows are written together.
CREATE POLICY written_for ON orgs FOR SELECT TO streamspace_tenant USING (id = ANY (streamspace_orgs()));

-- Counted is what is kept (neither deleted nor asked to be), and of that what is to run. New sessions are counted by the two
-- statements that write them, which know whether there is anything to count; every change of one is counted here.
CREATE FUNCTION count_changed_session() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  kept int := -(OLD.deleted_at IS NULL AND OLD.desired_state <> 'deleted')::int;
  running int := -(OLD.deleted_at IS NULL AND OLD.desired_state = 'running')::int;
BEGIN
  IF TG_OP = 'UPDATE' THEN
    kept := kept + (NEW.deleted_at IS NULL AND NEW.desired_state <> 'deleted')::int;
    running := running + (NEW.deleted_at IS NULL AND NEW.desired_state = 'running')::int;
  END IF;
  IF kept = 0 AND running = 0 THEN RETURN NULL; END IF;
  IF lock_quota_usage(ARRAY[OLD.org_id]) = '{}' THEN RETURN NULL; END IF;
  INSERT INTO quota_usage AS u (org_id, scope, name, sessions, running, cpu_millis, memory_mib)
  SELECT OLD.org_id, of.scope, of.name, kept, running, running * OLD.cpu_millis::bigint, running * OLD.memory_mib::bigint
    FROM (VALUES ('org', ''), ('user', OLD.user_id), ('template', OLD.template_name)) of (scope, name)
   ORDER BY 2, 3
  ON CONFLICT (org_id, scope, name) DO UPDATE
     SET sessions = u.sessions + excluded.sessions, running = u.running + excluded.running,
         cpu_millis = u.cpu_millis + excluded.cpu_millis, memory_mib = u.memory_mib + excluded.memory_mib;
  RETURN NULL;
END $$;
CREATE TRIGGER quotas_of_changed AFTER UPDATE OF desired_state, deleted_at ON sessions
  FOR EACH ROW
  WHEN (OLD.desired_state <> NEW.desired_state OR (OLD.deleted_at IS NULL) <> (NEW.deleted_at IS NULL))
  EXECUTE FUNCTION count_changed_session();
CREATE TRIGGER quotas_of_removed AFTER DELETE ON sessions
  FOR EACH ROW WHEN (OLD.deleted_at IS NULL AND OLD.desired_state <> 'deleted') EXECUTE FUNCTION count_changed_session();

-- The limits of a quota for the org (name ''), one of its users, or one of its templates.
CREATE FUNCTION quota_bounds(document jsonb, scope text, name text)
RETURNS TABLE (max_sessions bigint, max_running bigint, cpu_millis bigint, memory_mib bigint) LANGUAGE sql IMMUTABLE ROWS 1 AS $$
  SELECT (l->>'maxSessions')::bigint, (l->>'maxRunning')::bigint, (l->>'cpuMillis')::bigint, (l->>'memoryMib')::bigint
    FROM (SELECT CASE scope WHEN 'org' THEN document WHEN 'user' THEN document->'perUser' ELSE document->'perTemplate'->name END) of (l)
$$;

-- Who of those that ask (in the order of `place`) cannot have it, and why: the first limit that stands in the way, the org's own before
-- its users' and its templates'. Who is refused takes nothing from those behind. What was asked before under the same
-- Idempotency-Key, and what runs already, takes nothing and is never refused: that is for the statement to find. Less than nothing can be
-- asked, too: that locks only, as each changes what is counted in the same order (lease, quotas, agents, sessions).
CREATE FUNCTION quota_refusals(asking jsonb) RETURNS TABLE (id uuid, refusal jsonb) LANGUAGE plpgsql STRICT ROWS 1 AS $$
#variable_conflict use_column
DECLARE
  one record;
  bound record;
  added jsonb := '{}';
BEGIN
  PERFORM lock_quota_usage(ARRAY(SELECT DISTINCT i.org_id FROM jsonb_to_recordset(asking) AS i (org_id text)));

  -- As a rule there is room for all of them together.
  PERFORM FROM (
      SELECT i.org_id, of.scope, of.name, sum(i.sessions) AS sessions, sum(i.running) AS running,
             sum(i.cpu_millis) AS cpu_millis, sum(i.memory_mib) AS memory_mib
        FROM jsonb_to_recordset(asking) AS i (
               org_id text, user_id text, template_name text, sessions int, running int, cpu_millis bigint, memory_mib bigint)
       CROSS JOIN LATERAL (VALUES ('org', ''), ('user', i.user_id), ('template', i.template_name)) of (scope, name)
       GROUP BY 1, 2, 3) wanted
    JOIN quotas q ON q.org_id = wanted.org_id
   CROSS JOIN LATERAL quota_bounds(q.document, wanted.scope, wanted.name) bounds
    LEFT JOIN quota_usage u ON u.org_id = wanted.org_id AND u.scope = wanted.scope AND u.name = wanted.name
   WHERE (wanted.sessions > 0 AND coalesce(u.sessions, 0) + wanted.sessions > bounds.max_sessions)
      OR (wanted.running > 0 AND coalesce(u.running, 0) + wanted.running > bounds.max_running)
      OR (wanted.cpu_millis > 0 AND coalesce(u.cpu_millis, 0) + wanted.cpu_millis > bounds.cpu_millis)
      OR (wanted.memory_mib > 0 AND coalesce(u.memory_mib, 0) + wanted.memory_mib > bounds.memory_mib);
  IF NOT FOUND THEN RETURN; END IF;

  FOR one IN
    SELECT i.*, row_number() OVER (PARTITION BY i.org_id, i.caller, i.key_hash ORDER BY i.place) AS time_asked
      FROM jsonb_to_recordset(asking) AS i (
             place int, id uuid, org_id text, user_id text, template_name text, sessions int, running int,
             cpu_millis bigint, memory_mib bigint, caller text, key_hash bytea)
     WHERE NOT EXISTS (SELECT FROM idempotency_keys k
                        WHERE k.org_id = i.org_id AND k.caller = i.caller AND k.key_hash = i.key_hash)
       AND NOT EXISTS (SELECT FROM sessions s WHERE s.id = i.id AND s.desired_state = 'running')
     ORDER BY i.place
  LOOP
    CONTINUE WHEN one.key_hash IS NOT NULL AND one.time_asked > 1;
    SELECT of.scope, of.name, dimension.quota, dimension.most, dimension.used, dimension.asked INTO bound
      FROM quotas q
     CROSS JOIN LATERAL (VALUES (1, 'org', ''), (2, 'user', one.user_id), (3, 'template', one.template_name)) of (rank, scope, name)
     CROSS JOIN LATERAL quota_bounds(q.document, of.scope, of.name) bounds
      LEFT JOIN quota_usage u ON u.org_id = q.org_id AND u.scope = of.scope AND u.name = of.name
     CROSS JOIN LATERAL (SELECT added->jsonb_build_array(q.org_id, of.scope, of.name)::text AS sums) so_far
     CROSS JOIN LATERAL (VALUES
       (1, 'maxSessions', bounds.max_sessions, coalesce(u.sessions, 0) + coalesce((sums->>0)::bigint, 0), one.sessions::bigint),
       (2, 'maxRunning', bounds.max_running, coalesce(u.running, 0) + coalesce((sums->>1)::bigint, 0), one.running::bigint),
       (3, 'cpuMillis', bounds.cpu_millis, coalesce(u.cpu_millis, 0) + coalesce((sums->>2)::bigint, 0), one.cpu_millis),
       (4, 'memoryMib', bounds.memory_mib, coalesce(u.memory_mib, 0) + coalesce((sums->>3)::bigint, 0), one.memory_mib)
     ) dimension (rank, quota, most, used, asked)
     WHERE q.org_id = one.org_id AND dimension.asked > 0 AND dimension.used + dimension.asked > dimension.most
     ORDER BY of.rank, dimension.rank LIMIT 1;
    IF FOUND THEN
      id := one.id;
      refusal := jsonb_build_object('scope', bound.scope, 'name', CASE bound.scope WHEN 'org' THEN one.org_id ELSE bound.name END,
        'quota', bound.quota, 'limit', bound.most, 'used', bound.used, 'asked', bound.asked);
      RETURN NEXT;
    ELSE
      SELECT added || jsonb_object_agg(key, jsonb_build_array(
               coalesce((added->key->>0)::bigint, 0) + one.sessions, coalesce((added->key->>1)::bigint, 0) + one.running,
               coalesce((added->key->>2)::bigint, 0) + one.cpu_millis, coalesce((added->key->>3)::bigint, 0) + one.memory_mib))
        INTO added
        FROM (VALUES (jsonb_build_array(one.org_id, 'org', '')::text), (jsonb_build_array(one.org_id, 'user', one.user_id)::text),
                     (jsonb_build_array(one.org_id, 'template', one.template_name)::text)) of (key);
    END IF;
  END LOOP;
END $$;
