-- When this agent last showed that the database is older than what it knows, as after a restore: what was asked
-- later is newer than anything that the agent has from the history that was lost.
ALTER TABLE agent_leases ADD COLUMN restored_at timestamptz;
