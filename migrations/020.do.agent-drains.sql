-- Agents that are to be empty: from when, and by whom. It is over when the agent is uncordoned.
CREATE TABLE agent_drains (
  agent_id text PRIMARY KEY REFERENCES agents ON DELETE CASCADE,
  started_by text NOT NULL,
  started_at timestamptz NOT NULL DEFAULT now()
);
ALTER TABLE agent_drains ENABLE ROW LEVEL SECURITY;
CREATE POLICY system ON agent_drains TO streamspace_system USING (true);
-- Of the agents that can be seen, which the agents' own policies say.
CREATE POLICY visible ON agent_drains FOR SELECT TO streamspace_tenant
  USING (EXISTS (SELECT FROM agents a WHERE a.id = agent_id));
CREATE POLICY added ON agent_drains FOR INSERT TO streamspace_tenant
  WITH CHECK (EXISTS (SELECT FROM agents a WHERE a.id = agent_id AND a.org_id = current_setting('streamspace.org', true)));
CREATE POLICY removed ON agent_drains FOR DELETE TO streamspace_tenant
  USING (EXISTS (SELECT FROM agents a WHERE a.id = agent_id AND a.org_id = current_setting('streamspace.org', true)));
GRANT SELECT, INSERT, DELETE ON agent_drains TO streamspace_tenant, streamspace_system;

-- Sessions that a drain has put to rest, to be started elsewhere: written with the intent that puts them there, removed with the one
-- that starts them. Of another generation than the session has by now it is over: somebody has asked for something else.
CREATE TABLE session_moves (
  session_id uuid PRIMARY KEY,
  org_id text NOT NULL,
  from_agent text NOT NULL,
  generation bigint NOT NULL,
  begun_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX session_moves_by_agent ON session_moves (from_agent);
ALTER TABLE session_moves ENABLE ROW LEVEL SECURITY;
CREATE POLICY system ON session_moves TO streamspace_system USING (true);
CREATE POLICY visible ON session_moves FOR SELECT TO streamspace_tenant
  USING (org_id = current_setting('streamspace.org', true));
GRANT SELECT ON session_moves TO streamspace_tenant;
GRANT SELECT, INSERT, UPDATE, DELETE ON session_moves TO streamspace_system;

-- A drain raises the revision also of an agent that is cordoned already.
GRANT UPDATE (revision) ON agents TO streamspace_tenant;
