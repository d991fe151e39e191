-- The second lock between orgs. The first is in every statement, which names the org that it is for; this one holds though a
-- statement forgets to. The server takes one of two roles on each connection, whoever it logs in as:
--
--   streamspace_tenant   what is done for a caller: sees the rows of the org that `streamspace.org` names, and nothing without one
--   streamspace_system   what is done for nobody in particular: reports of agents, duties, retention
--
-- Neither can log in, own anything, or pass row level security by. They are the whole PostgreSQL server's, so another database
-- of it may have made them already, or be about to.
DO $$
DECLARE
  role text;
BEGIN
  FOREACH role IN ARRAY ARRAY['streamspace_tenant', 'streamspace_system'] LOOP
    FOR attempt IN 1..20 LOOP
      BEGIN
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN
          EXECUTE format('CREATE ROLE %I NOLOGIN NOSUPERUSER NOBYPASSRLS', role);
        END IF;
        IF NOT pg_has_role(current_user, role, 'MEMBER') THEN
          EXECUTE format('GRANT %I TO CURRENT_USER', role);
        END IF;
        EXIT;
      EXCEPTION
        WHEN duplicate_object OR unique_violation OR internal_error THEN
          -- Made at this very moment by the migration of another database.
          IF attempt = 20 THEN RAISE; END IF;
          PERFORM pg_sleep(0.05);
        WHEN insufficient_privilege THEN
          RAISE EXCEPTION 'the role % cannot be made or taken by %', role, current_user
            USING HINT = format('Once, as a superuser: CREATE ROLE %s NOLOGIN; GRANT %s TO %I; and then migrate again.', role, role, current_user);
      END;
    END LOOP;
  END LOOP;
END $$;

GRANT USAGE ON SCHEMA public TO streamspace_tenant, streamspace_system;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO streamspace_system;
REVOKE INSERT, UPDATE, DELETE ON schema_version FROM streamspace_system;

-- An org, or several between commas where new sessions of several are written together: those are written blindly, and read nothing.
CREATE FUNCTION streamspace_orgs() RETURNS text[] LANGUAGE sql STABLE PARALLEL SAFE
  RETURN string_to_array(current_setting('streamspace.org', true), ',');

ALTER TABLE orgs ENABLE ROW LEVEL SECURITY;
CREATE POLICY system ON orgs TO streamspace_system USING (true);
CREATE POLICY own ON orgs FOR SELECT TO streamspace_tenant USING (id = current_setting('streamspace.org', true));
GRANT SELECT ON orgs TO streamspace_tenant;

ALTER TABLE api_keys ENABLE ROW LEVEL SECURITY;
CREATE POLICY system ON api_keys TO streamspace_system USING (true);
CREATE POLICY own ON api_keys TO streamspace_tenant USING (org_id = current_setting('streamspace.org', true));
GRANT SELECT, INSERT, UPDATE ON api_keys TO streamspace_tenant;

ALTER TABLE templates ENABLE ROW LEVEL SECURITY;
CREATE POLICY system ON templates TO streamspace_system USING (true);
CREATE POLICY visible ON templates FOR SELECT TO streamspace_tenant
  USING (org_id = current_setting('streamspace.org', true) OR org_id IS NULL);
CREATE POLICY added ON templates FOR INSERT TO streamspace_tenant
  WITH CHECK (org_id = current_setting('streamspace.org', true));
CREATE POLICY changed ON templates FOR UPDATE TO streamspace_tenant
  USING (org_id = current_setting('streamspace.org', true));
GRANT SELECT, INSERT, UPDATE ON templates TO streamspace_tenant;

-- A session takes room on a shared agent, too. Nothing else of one is an org's to change.
ALTER TABLE agents ENABLE ROW LEVEL SECURITY;
CREATE POLICY system ON agents TO streamspace_system USING (true);
CREATE POLICY visible ON agents FOR SELECT TO streamspace_tenant USING (org_id = ANY (streamspace_orgs()) OR org_id IS NULL);
CREATE POLICY changed ON agents FOR UPDATE TO streamspace_tenant USING (org_id = ANY (streamspace_orgs()) OR org_id IS NULL);
CREATE POLICY added ON agents FOR INSERT TO streamspace_tenant WITH CHECK (org_id = current_setting('streamspace.org', true));
CREATE POLICY removed ON agents FOR DELETE TO streamspace_tenant USING (org_id = current_setting('streamspace.org', true));
GRANT SELECT, INSERT, DELETE,
      UPDATE (cordoned, token_hash, allocated_sessions, allocated_cpu_millis, allocated_memory_mib) ON agents TO streamspace_tenant;
CREATE FUNCTION refuse_change_of_shared_agent() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'agent % is shared: only the installation changes it', OLD.id USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER shared_agents BEFORE UPDATE OF cordoned, token_hash ON agents
  FOR EACH ROW WHEN (OLD.org_id IS NULL AND current_user = 'streamspace_tenant') EXECUTE FUNCTION refuse_change_of_shared_agent();

-- Of agents by their id. Whether one is connected is read with every session, and is no secret of an org; what may be changed is
-- that of its own agents.
ALTER TABLE agent_leases ENABLE ROW LEVEL SECURITY;
CREATE POLICY system ON agent_leases TO streamspace_system USING (true);
CREATE POLICY visible ON agent_leases FOR SELECT TO streamspace_tenant USING (true);
-- The agent's row is of the same statement, and cannot be seen yet; that there is one its reference says.
CREATE POLICY added ON agent_leases FOR INSERT TO streamspace_tenant WITH CHECK (true);
CREATE POLICY changed ON agent_leases FOR UPDATE TO streamspace_tenant
  USING (EXISTS (SELECT FROM agents a WHERE a.id = agent_id AND a.org_id = current_setting('streamspace.org', true)));
GRANT SELECT, INSERT, UPDATE ON agent_leases TO streamspace_tenant;

ALTER TABLE agent_liveness ENABLE ROW LEVEL SECURITY;
CREATE POLICY system ON agent_liveness TO streamspace_system USING (true);
CREATE POLICY visible ON agent_liveness FOR SELECT TO streamspace_tenant USING (true);
GRANT SELECT ON agent_liveness TO streamspace_tenant;

ALTER TABLE orphan_brakes ENABLE ROW LEVEL SECURITY;
CREATE POLICY system ON orphan_brakes TO streamspace_system USING (true);
CREATE POLICY visible ON orphan_brakes FOR SELECT TO streamspace_tenant USING (true);
CREATE POLICY changed ON orphan_brakes FOR UPDATE TO streamspace_tenant
  USING (EXISTS (SELECT FROM agents a WHERE a.id = agent_id AND a.org_id = current_setting('streamspace.org', true)));
GRANT SELECT, UPDATE ON orphan_brakes TO streamspace_tenant;

ALTER TABLE agent_events ENABLE ROW LEVEL SECURITY;
CREATE POLICY system ON agent_events TO streamspace_system USING (true);
CREATE POLICY own ON agent_events TO streamspace_tenant
  USING (EXISTS (SELECT FROM agents a WHERE a.id = agent_id AND a.org_id = current_setting('streamspace.org', true)));
GRANT SELECT, INSERT ON agent_events TO streamspace_tenant;

ALTER TABLE orphans ENABLE ROW LEVEL SECURITY;
CREATE POLICY system ON orphans TO streamspace_system USING (true);
CREATE POLICY own ON orphans TO streamspace_tenant USING (org_id = current_setting('streamspace.org', true));
GRANT SELECT, UPDATE ON orphans TO streamspace_tenant;

ALTER TABLE sessions ENABLE ROW LEVEL SECURITY;
CREATE POLICY system ON sessions TO streamspace_system USING (true);
CREATE POLICY visible ON sessions FOR SELECT TO streamspace_tenant USING (org_id = current_setting('streamspace.org', true));
CREATE POLICY changed ON sessions FOR UPDATE TO streamspace_tenant USING (org_id = current_setting('streamspace.org', true));
CREATE POLICY added ON sessions FOR INSERT TO streamspace_tenant WITH CHECK (org_id = ANY (streamspace_orgs()));
GRANT SELECT, INSERT, UPDATE ON sessions TO streamspace_tenant;

ALTER TABLE session_events ENABLE ROW LEVEL SECURITY;
CREATE POLICY system ON session_events TO streamspace_system USING (true);
CREATE POLICY visible ON session_events FOR SELECT TO streamspace_tenant USING (org_id = current_setting('streamspace.org', true));
CREATE POLICY added ON session_events FOR INSERT TO streamspace_tenant WITH CHECK (org_id = ANY (streamspace_orgs()));
GRANT SELECT, INSERT ON session_events TO streamspace_tenant;

ALTER TABLE outbox ENABLE ROW LEVEL SECURITY;
CREATE POLICY system ON outbox TO streamspace_system USING (true);
CREATE POLICY visible ON outbox FOR SELECT TO streamspace_tenant USING (org_id = current_setting('streamspace.org', true));
CREATE POLICY changed ON outbox FOR UPDATE TO streamspace_tenant USING (org_id = current_setting('streamspace.org', true));
CREATE POLICY added ON outbox FOR INSERT TO streamspace_tenant WITH CHECK (org_id = ANY (streamspace_orgs()));
GRANT SELECT, INSERT, UPDATE ON outbox TO streamspace_tenant;

-- The installation's alone.
ALTER TABLE replicas ENABLE ROW LEVEL SECURITY;
CREATE POLICY system ON replicas TO streamspace_system USING (true);
ALTER TABLE orphan_removal ENABLE ROW LEVEL SECURITY;
CREATE POLICY system ON orphan_removal TO streamspace_system USING (true);
GRANT SELECT ON schema_version TO streamspace_tenant;

-- Row level security keeps conditions with functions that may tell what they were given away from indexes, and `lower` is one.
ALTER TABLE sessions ADD COLUMN name_key text COLLATE "C" GENERATED ALWAYS AS (lower(name) COLLATE "C") STORED;
DROP INDEX sessions_by_name;
CREATE INDEX sessions_by_name ON sessions (org_id, name_key, id) WHERE deleted_at IS NULL;

-- The same of `@>`: labels are looked up in a table of their own, which follows the sessions'.
CREATE TABLE session_labels (
  session_id uuid NOT NULL,
  name text NOT NULL,
  value text NOT NULL,
  org_id text NOT NULL,
  created_at timestamptz NOT NULL,
  PRIMARY KEY (session_id, name)
);
CREATE INDEX session_labels_newest ON session_labels (org_id, name, value, created_at DESC, session_id DESC);
ALTER TABLE session_labels ENABLE ROW LEVEL SECURITY;
CREATE POLICY system ON session_labels TO streamspace_system USING (true);
CREATE POLICY visible ON session_labels FOR SELECT TO streamspace_tenant USING (org_id = current_setting('streamspace.org', true));
CREATE POLICY removed ON session_labels FOR DELETE TO streamspace_tenant USING (org_id = current_setting('streamspace.org', true));
CREATE POLICY added ON session_labels FOR INSERT TO streamspace_tenant WITH CHECK (org_id = ANY (streamspace_orgs()));
GRANT SELECT, INSERT, DELETE ON session_labels TO streamspace_tenant, streamspace_system;

CREATE FUNCTION follow_labels() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'UPDATE' THEN
    DELETE FROM session_labels WHERE session_id = OLD.id;
  END IF;
  IF NEW.deleted_at IS NULL THEN
    INSERT INTO session_labels (session_id, name, value, org_id, created_at)
    SELECT NEW.id, label.key, label.value, NEW.org_id, NEW.created_at FROM jsonb_each_text(NEW.labels) label;
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER labels_of_new AFTER INSERT ON sessions
  FOR EACH ROW WHEN (NEW.labels <> '{}') EXECUTE FUNCTION follow_labels();
CREATE TRIGGER labels_of_changed AFTER UPDATE OF labels, deleted_at ON sessions
  FOR EACH ROW WHEN (OLD.labels <> NEW.labels OR (OLD.labels <> '{}' AND (OLD.deleted_at IS NULL) <> (NEW.deleted_at IS NULL)))
  EXECUTE FUNCTION follow_labels();
INSERT INTO session_labels (session_id, name, value, org_id, created_at)
SELECT s.id, label.key, label.value, s.org_id, s.created_at
  FROM sessions s CROSS JOIN LATERAL jsonb_each_text(s.labels) label WHERE s.deleted_at IS NULL;
DROP INDEX sessions_by_label;
