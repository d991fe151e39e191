-- `lock_timeout` is for each lock: several quotas that were let go of one after another were waited for one after another, each for as long
-- (migration 024). So what a wait has taken is taken off the next one.
CREATE FUNCTION wait_until(latest timestamptz) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  PERFORM set_config('lock_timeout', greatest(1, ceil(1000 * extract(epoch FROM latest - clock_timestamp())))::text, true);
  RETURN true;
END $$;

-- What `lock_quota_usage_of_new` does (migration 011), in the same order. A row comes out of each query as soon as it is locked, and before the next
-- one is: the query around it cannot be drawn into the one that locks. As long as nothing has been waited for, the time is all that is looked at.
CREATE OR REPLACE FUNCTION lock_quota_usage_of_new_briefly(made_in text[]) RETURNS text[] LANGUAGE plpgsql
SET lock_timeout = '50ms' AS $$
DECLARE
  soon timestamptz := clock_timestamp() + interval '1 ms';
  latest timestamptz := soon + interval '49 ms';
  counted text[];
BEGIN
  counted := ARRAY(
    SELECT org_id
      FROM (SELECT org_id FROM quota_usage WHERE org_id = ANY (made_in) AND scope = 'org' ORDER BY org_id FOR NO KEY UPDATE) locked
     WHERE clock_timestamp() < soon OR wait_until(latest));
  IF NOT counted @> made_in THEN
    PERFORM pg_advisory_xact_lock_shared(730211, hashtext(org_id)), clock_timestamp() < soon OR wait_until(latest)
       FROM (SELECT org_id FROM unnest(made_in) org_id WHERE org_id <> ALL (counted) ORDER BY 1) uncounted;
    counted := ARRAY(
      SELECT org_id
        FROM (SELECT org_id FROM quota_usage WHERE org_id = ANY (made_in) AND scope = 'org' ORDER BY org_id FOR NO KEY UPDATE) locked
       WHERE clock_timestamp() < soon OR wait_until(latest));
  END IF;
  IF EXISTS (SELECT FROM orgs WHERE id = ANY (made_in) AND deleted_at IS NOT NULL) THEN
    RAISE EXCEPTION 'the org was deleted' USING ERRCODE = 'foreign_key_violation';
  END IF;
  RETURN counted;
END $$;
