-- Webhooks: the events of an org's sessions, sent to an address of its choice (docs/webhooks.md).
CREATE TABLE webhooks (
  id uuid PRIMARY KEY,
  org_id text NOT NULL,
  url text NOT NULL,
  -- Types of events, or '*'.
  events text[] NOT NULL,
  -- Of the session; all of them have to be equal.
  labels jsonb NOT NULL,
  status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'disabled')),
  status_reason text,
  -- Sealed. The one before signs too until its time is over.
  secret bytea NOT NULL,
  previous_secret bytea,
  previous_until timestamptz,
  dead_in_a_row integer NOT NULL DEFAULT 0,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  version bigint NOT NULL DEFAULT 1
);
CREATE INDEX webhooks_by_org ON webhooks (org_id, id DESC);

-- One row an event a webhook. The row is the truth of a delivery; a job (pg-boss) carries it to its next attempt.
CREATE TABLE webhook_deliveries (
  -- What receivers know it by, whichever attempt it is.
  id uuid PRIMARY KEY,
  org_id text NOT NULL,
  webhook_id uuid NOT NULL,
  event_id bigint NOT NULL,
  session_id uuid NOT NULL,
  type text NOT NULL,
  -- Byte for byte what is signed and sent.
  body text NOT NULL,
  status text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'delivered', 'dead')),
  attempts integer NOT NULL DEFAULT 0,
  -- Until when the job that carries it is believed in; null: it has none yet.
  job_until timestamptz,
  last_attempt_at timestamptz,
  response_status integer,
  last_error text,
  created_at timestamptz NOT NULL DEFAULT now(),
  finished_at timestamptz,
  UNIQUE (webhook_id, event_id)
) WITH (fillfactor = 80);
CREATE INDEX webhook_deliveries_by_status ON webhook_deliveries (webhook_id, status, id DESC);

ALTER TABLE webhooks ENABLE ROW LEVEL SECURITY;
CREATE POLICY system ON webhooks TO streamspace_system USING (true);
CREATE POLICY own ON webhooks TO streamspace_tenant USING (org_id = current_setting('streamspace.org', true));
GRANT SELECT, INSERT, UPDATE, DELETE ON webhooks TO streamspace_tenant, streamspace_system;

ALTER TABLE webhook_deliveries ENABLE ROW LEVEL SECURITY;
CREATE POLICY system ON webhook_deliveries TO streamspace_system USING (true);
CREATE POLICY own ON webhook_deliveries TO streamspace_tenant USING (org_id = current_setting('streamspace.org', true));
GRANT SELECT, UPDATE ON webhook_deliveries TO streamspace_tenant;
GRANT SELECT, INSERT, UPDATE, DELETE ON webhook_deliveries TO streamspace_system;
