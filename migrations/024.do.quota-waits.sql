-- New sessions of several orgs are written together, and each org's quota is locked for it. Whoever holds one for long (a batch of that org
-- is one transaction) must not keep the others waiting: this gives up after a moment (55P03), and the orgs are written apart (docs/decisions/0110).
CREATE FUNCTION lock_quota_usage_of_new_briefly(made_in text[]) RETURNS text[] LANGUAGE plpgsql
SET lock_timeout = '50ms' AS $$
BEGIN
  RETURN lock_quota_usage_of_new(made_in);
END $$;
