-- The first answer to a mutation that came with an Idempotency-Key, written by the statement or in the transaction that made the
-- change: there is one exactly when the change is there. Of the key its hash alone is kept, as it opens the answers that are sealed.
CREATE TABLE idempotency_keys (
  org_id text NOT NULL,
  -- The API key, or whoever a token says, that the request came with.
  caller text NOT NULL,
  key_hash bytea NOT NULL,
  -- HMAC of method, path, query and body.
  fingerprint bytea NOT NULL,
  status smallint NOT NULL,
  location text,
  -- As JSON; where it shows something once, sealed under the key itself.
  body bytea,
  sealed boolean NOT NULL DEFAULT false,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (org_id, caller, key_hash)
);
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);

ALTER TABLE idempotency_keys ENABLE ROW LEVEL SECURITY;
CREATE POLICY system ON idempotency_keys TO streamspace_system USING (true);
-- Which of several that are written together were written before is read in the same statement.
CREATE POLICY visible ON idempotency_keys FOR SELECT TO streamspace_tenant USING (org_id = ANY (streamspace_orgs()));
CREATE POLICY added ON idempotency_keys FOR INSERT TO streamspace_tenant WITH CHECK (org_id = ANY (streamspace_orgs()));
GRANT SELECT, INSERT ON idempotency_keys TO streamspace_tenant;
GRANT SELECT, INSERT, DELETE ON idempotency_keys TO streamspace_system;
