-- Whether orphans of an org's own agents are removed: what one of these agents says halts it for that org alone. `orphan_removal` goes on to be
-- for all, shared agents too. A row for each org from the beginning: whoever judges holds it locked.
CREATE TABLE org_orphan_removal (
  org_id text PRIMARY KEY REFERENCES orgs,
  halted_at timestamptz,
  halted_by text,
  halted_reason text,
  resumed_at timestamptz,
  resumed_by text,
  revision bigint NOT NULL DEFAULT 1
);
-- Those that an operator has to look at: few, or none.
CREATE INDEX org_orphan_removal_halted ON org_orphan_removal (halted_at, org_id) WHERE halted_at IS NOT NULL;
CREATE TRIGGER org_orphan_removal_revision BEFORE UPDATE ON org_orphan_removal
  FOR EACH ROW WHEN (OLD.halted_at IS DISTINCT FROM NEW.halted_at OR OLD.resumed_at IS DISTINCT FROM NEW.resumed_at)
  EXECUTE FUNCTION raise_revision();

ALTER TABLE org_orphan_removal ENABLE ROW LEVEL SECURITY;
CREATE POLICY system ON org_orphan_removal TO streamspace_system USING (true);
CREATE POLICY own ON org_orphan_removal TO streamspace_tenant USING (org_id = current_setting('streamspace.org', true));
GRANT SELECT, INSERT, UPDATE ON org_orphan_removal TO streamspace_system;
GRANT SELECT, UPDATE ON org_orphan_removal TO streamspace_tenant;

-- Also of orgs that a server makes which does not know this table yet.
CREATE FUNCTION add_org_orphan_removal() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO org_orphan_removal (org_id) VALUES (NEW.id);
  RETURN NULL;
END $$;
CREATE TRIGGER has_orphan_removal AFTER INSERT ON orgs FOR EACH ROW EXECUTE FUNCTION add_org_orphan_removal();
INSERT INTO org_orphan_removal (org_id) SELECT id FROM orgs;
