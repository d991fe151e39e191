-- What If-Match guards: raised by what people change, and by nothing that agents report. A session has its version for that, a
-- template that of its newest version.

CREATE FUNCTION raise_revision() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.revision := OLD.revision + 1;
  RETURN NEW;
END $$;

ALTER TABLE agents ADD COLUMN revision bigint NOT NULL DEFAULT 1;
CREATE TRIGGER agent_revision BEFORE UPDATE OF cordoned, token_hash ON agents
  FOR EACH ROW WHEN (OLD.cordoned <> NEW.cordoned OR OLD.token_hash <> NEW.token_hash) EXECUTE FUNCTION raise_revision();

-- When it was used last is nobody's change.
ALTER TABLE api_keys ADD COLUMN revision bigint NOT NULL DEFAULT 1;
CREATE TRIGGER api_key_revision BEFORE UPDATE OF expires_at, revoked_at ON api_keys
  FOR EACH ROW WHEN (OLD.expires_at IS DISTINCT FROM NEW.expires_at OR OLD.revoked_at IS DISTINCT FROM NEW.revoked_at)
  EXECUTE FUNCTION raise_revision();

ALTER TABLE orphan_removal ADD COLUMN revision bigint NOT NULL DEFAULT 1;
CREATE TRIGGER orphan_removal_revision BEFORE UPDATE ON orphan_removal
  FOR EACH ROW WHEN (OLD.halted_at IS DISTINCT FROM NEW.halted_at OR OLD.resumed_at IS DISTINCT FROM NEW.resumed_at)
  EXECUTE FUNCTION raise_revision();

-- Raised where an operator sends a command again or cancels it: no trigger, as a command's row is written all the time.
ALTER TABLE outbox ADD COLUMN revision bigint NOT NULL DEFAULT 1;

-- Lists of commands: of an agent, and of those that have no good end (few among all, and what an operator looks for).
CREATE INDEX outbox_by_agent ON outbox (org_id, agent_id, id DESC);
CREATE INDEX outbox_unsettled ON outbox (org_id, status, id DESC) WHERE status NOT IN ('done', 'superseded');

-- Agents by their id, those of an org and those of all.
DROP INDEX agents_by_org;
CREATE INDEX agents_by_org ON agents (org_id, id);
