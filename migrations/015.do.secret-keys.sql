-- The secrets (STREAMSPACE_SECRET_KEY) that something was ever sealed under, by an id that says nothing of them. The one that was
-- introduced last is the current one: a server that does not know it could not open what others seal, and does not start.
CREATE TABLE secret_keys (
  id bytea PRIMARY KEY,
  introduced_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  -- Of the current one: since when all that is sealed is sealed under it; null: not looked at, or not yet.
  settled_at timestamptz
);
ALTER TABLE secret_keys ENABLE ROW LEVEL SECURITY;
CREATE POLICY system ON secret_keys TO streamspace_system USING (true);
GRANT SELECT, INSERT, UPDATE ON secret_keys TO streamspace_system;

-- What is sealed under another one is found without looking at every session.
CREATE INDEX sessions_with_secrets ON sessions (id) WHERE secrets IS NOT NULL;
