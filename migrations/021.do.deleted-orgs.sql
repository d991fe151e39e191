-- Whoever deletes an org counts what it has left (adapters/postgres/orgs.ts). What is being added meanwhile is waited for, as its new sessions
-- are (migration 011); what comes later finds that there is no such org any more.
CREATE FUNCTION refuse_deleted_org() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_advisory_xact_lock_shared(730211, hashtext(NEW.org_id));
  -- As of now: the lock may have been waited for.
  IF EXISTS (SELECT FROM orgs WHERE id = NEW.org_id AND deleted_at IS NOT NULL) THEN
    RAISE EXCEPTION 'the org was deleted' USING ERRCODE = 'foreign_key_violation';
  END IF;
  RETURN NEW;
END $$;

CREATE TRIGGER of_org_that_is_there BEFORE INSERT ON agents
  FOR EACH ROW WHEN (NEW.org_id IS NOT NULL) EXECUTE FUNCTION refuse_deleted_org();
CREATE TRIGGER of_org_that_is_there BEFORE INSERT ON api_keys FOR EACH ROW EXECUTE FUNCTION refuse_deleted_org();
CREATE TRIGGER of_org_that_is_there BEFORE INSERT ON templates
  FOR EACH ROW WHEN (NEW.org_id IS NOT NULL) EXECUTE FUNCTION refuse_deleted_org();
CREATE TRIGGER of_org_that_is_there BEFORE INSERT ON webhooks FOR EACH ROW EXECUTE FUNCTION refuse_deleted_org();
