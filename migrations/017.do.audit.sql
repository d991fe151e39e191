-- Who did what, from where, and what became of it: written by the statement or in the transaction that makes the change, so that there
-- is one exactly when the change is there; what was refused is written beside. Nobody who serves requests can change or remove one.
CREATE TABLE audit_events (
  -- '': nobody's, as with keys that are not known.
  org_id text NOT NULL DEFAULT '',
  at timestamptz NOT NULL DEFAULT now(),
  id bigint GENERATED ALWAYS AS IDENTITY,
  user_id text,
  role text,
  -- null: by a token.
  key_id uuid,
  -- The operation of the API.
  action text NOT NULL,
  resource text NOT NULL,
  resource_id text,
  outcome text NOT NULL CHECK (outcome IN ('succeeded', 'refused', 'failed')),
  status smallint NOT NULL,
  -- Of the problem that it was answered with.
  code text,
  request_id text NOT NULL,
  ip text NOT NULL,
  user_agent text,
  -- What was changed, as it was and as it became, without secrets.
  before jsonb,
  after jsonb,
  PRIMARY KEY (org_id, at, id)
);
CREATE INDEX audit_events_of_resource ON audit_events (org_id, resource_id, at, id);
CREATE INDEX audit_events_of_user ON audit_events (org_id, user_id, at, id);
-- Few, and what one looks for.
CREATE INDEX audit_events_not_done ON audit_events (org_id, at, id) WHERE outcome <> 'succeeded';
CREATE INDEX audit_events_not_of_sessions ON audit_events (org_id, at, id) WHERE resource <> 'session';

ALTER TABLE audit_events ENABLE ROW LEVEL SECURITY;
CREATE POLICY system ON audit_events TO streamspace_system USING (true);
CREATE POLICY visible ON audit_events FOR SELECT TO streamspace_tenant USING (org_id = current_setting('streamspace.org', true));
CREATE POLICY added ON audit_events FOR INSERT TO streamspace_tenant WITH CHECK (org_id = ANY (streamspace_orgs()));
GRANT SELECT, INSERT ON audit_events TO streamspace_tenant, streamspace_system;

-- All that the server can do about old ones: ask whoever owns the table, who keeps each for 30 days, whatever the server asks.
CREATE FUNCTION remove_audit_events(older_than_ms float8, most int) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  WITH old AS MATERIALIZED (
    SELECT e.org_id, e.at, e.id
      FROM (SELECT id FROM orgs UNION ALL SELECT '') AS org (id)
     CROSS JOIN LATERAL (
             SELECT org_id, at, id FROM audit_events
              WHERE org_id = org.id AND at < now() - greatest(older_than_ms * interval '1 millisecond', interval '30 days')
              ORDER BY at, id LIMIT most) e
     LIMIT most
  ),
  gone AS (
    DELETE FROM audit_events e USING old WHERE e.org_id = old.org_id AND e.at = old.at AND e.id = old.id RETURNING 1
  )
  SELECT count(*) FROM gone
$$;
REVOKE ALL ON FUNCTION remove_audit_events FROM PUBLIC;
GRANT EXECUTE ON FUNCTION remove_audit_events TO streamspace_system;
