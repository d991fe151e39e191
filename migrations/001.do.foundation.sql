-- Everything the control plane stands on. PostgreSQL is the only source of truth: what is not in these
-- tables does not exist. Forward only; a later change is a new file.

CREATE TABLE orgs (
  id text PRIMARY KEY,
  name text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now()
);

-- Only a hash of a key is kept; `prefix` is how it is looked up and what a list shows.
CREATE TABLE api_keys (
  id uuid PRIMARY KEY,
  org_id text NOT NULL REFERENCES orgs,
  user_id text NOT NULL,
  role text NOT NULL CHECK (role IN ('viewer', 'user', 'operator', 'admin', 'installation')),
  name text NOT NULL,
  prefix text NOT NULL,
  hash bytea NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  expires_at timestamptz,
  revoked_at timestamptz
);
CREATE INDEX api_keys_by_prefix ON api_keys (prefix);

-- Versions are immutable; `content_hash` tells that the same document came again.
CREATE TABLE templates (
  id uuid PRIMARY KEY,
  org_id text REFERENCES orgs,
  name text NOT NULL,
  version integer NOT NULL,
  platforms text[] NOT NULL,
  document jsonb NOT NULL,
  content_hash bytea NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  archived_at timestamptz,
  UNIQUE NULLS NOT DISTINCT (org_id, name, version)
);

CREATE TABLE agents (
  id text PRIMARY KEY,
  org_id text REFERENCES orgs,
  platform text NOT NULL,
  region text,
  -- As enrolled, and as the agent says of itself; where both name one, the enrolled one counts.
  labels jsonb NOT NULL DEFAULT '{}',
  reported_labels jsonb NOT NULL DEFAULT '{}',
  version text,
  token_hash bytea NOT NULL UNIQUE,
  cordoned boolean NOT NULL DEFAULT false,
  -- Unknown (null) until the agent has connected once.
  max_sessions integer,
  cpu_millis integer,
  memory_mib integer,
  -- The sum over the sessions that hold capacity here (sessions.reserved_on). A hot row: kept small.
  allocated_sessions integer NOT NULL DEFAULT 0,
  allocated_cpu_millis bigint NOT NULL DEFAULT 0,
  allocated_memory_mib bigint NOT NULL DEFAULT 0,
  created_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);
CREATE INDEX agents_by_org ON agents (org_id);

-- Which replica speaks for an agent, and under which epoch. Apart from `agents`, whose row every create
-- locks: what an agent reports locks this row FOR SHARE, so that raising the epoch waits for writers of
-- the old one and stops all later ones.
CREATE TABLE agent_leases (
  agent_id text PRIMARY KEY REFERENCES agents ON DELETE CASCADE,
  epoch bigint NOT NULL DEFAULT 0,
  replica_id uuid,
  connected_at timestamptz,
  disconnected_at timestamptz
) WITH (fillfactor = 50);
CREATE INDEX agent_leases_by_replica ON agent_leases (replica_id) WHERE replica_id IS NOT NULL;

-- What changes every few seconds, written in batches.
CREATE TABLE agent_liveness (
  agent_id text PRIMARY KEY REFERENCES agents ON DELETE CASCADE,
  last_heartbeat_at timestamptz NOT NULL,
  active_sessions integer NOT NULL DEFAULT 0,
  inventory_hash text,
  degraded_reason text
) WITH (fillfactor = 50);

CREATE TABLE replicas (
  id uuid PRIMARY KEY,
  url text NOT NULL,
  started_at timestamptz NOT NULL DEFAULT now(),
  last_seen_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE sessions (
  id uuid PRIMARY KEY,
  org_id text NOT NULL,
  user_id text NOT NULL,
  name text NOT NULL,
  template_id uuid NOT NULL,
  template_name text NOT NULL,
  template_version integer NOT NULL,
  -- What was asked of the placement, and the platforms that the template can run on.
  placement jsonb NOT NULL,
  platform text,
  region text,
  agent_id text,
  -- The agent on which capacity is held: from placement until that agent says that nothing runs.
  reserved_on text,
  desired_state text NOT NULL CHECK (desired_state IN ('running', 'hibernated', 'stopped', 'deleted')),
  generation bigint NOT NULL,
  observed_generation bigint NOT NULL,
  status text NOT NULL CHECK (status IN ('pending', 'scheduling', 'running', 'hibernating', 'hibernated',
                                         'stopping', 'stopped', 'failed', 'deleting')),
  status_reason text,
  status_message text,
  waiting_since timestamptz,
  status_deadline timestamptz,
  incarnation integer NOT NULL,
  labels jsonb NOT NULL,
  parameters jsonb NOT NULL,
  env jsonb NOT NULL,
  spec jsonb NOT NULL,
  -- Environment from secret parameters, sealed (AES-256-GCM).
  secrets bytea,
  persistent_home boolean NOT NULL,
  cpu_millis integer NOT NULL,
  memory_mib integer NOT NULL,
  endpoint jsonb,
  namespace text,
  pod_name text,
  service_name text,
  container_id text,
  node text,
  image text,
  image_digest text,
  restarts integer NOT NULL DEFAULT 0,
  exit_code integer,
  exit_signal text,
  last_output text,
  idle_timeout_s integer,
  max_duration_s integer,
  last_activity_at timestamptz,
  started_at timestamptz,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  deleted_at timestamptz,
  -- Raised by intents and PATCH: the ETag's guard.
  version bigint NOT NULL,
  -- Raised by every write: the optimistic lock.
  revision bigint NOT NULL
) WITH (fillfactor = 80);

-- One index for each documented list, newest first; tombstones are in none of them.
CREATE INDEX sessions_newest ON sessions (org_id, created_at DESC, id DESC) WHERE deleted_at IS NULL;
CREATE INDEX sessions_by_user ON sessions (org_id, user_id, created_at DESC, id DESC) WHERE deleted_at IS NULL;
CREATE INDEX sessions_by_status ON sessions (org_id, status, created_at DESC, id DESC) WHERE deleted_at IS NULL;
CREATE INDEX sessions_by_template ON sessions (org_id, template_name, created_at DESC, id DESC) WHERE deleted_at IS NULL;
CREATE INDEX sessions_by_agent ON sessions (agent_id, org_id, created_at DESC, id DESC) WHERE deleted_at IS NULL;
CREATE INDEX sessions_by_name ON sessions (org_id, (lower(name) COLLATE "C"), id) WHERE deleted_at IS NULL;
CREATE INDEX sessions_by_label ON sessions USING gin (labels jsonb_path_ops) WHERE deleted_at IS NULL AND labels <> '{}';
CREATE INDEX sessions_by_deadline ON sessions (status_deadline) WHERE status_deadline IS NOT NULL AND deleted_at IS NULL;
CREATE INDEX sessions_pending ON sessions (created_at) WHERE status = 'pending' AND deleted_at IS NULL;
-- Tombstones whose agent has not confirmed yet.
CREATE INDEX sessions_unconfirmed ON sessions (reserved_on) WHERE deleted_at IS NOT NULL AND reserved_on IS NOT NULL;

-- Append-only: the history of each session and the feed that watchers read in the order (xid, id), below
-- pg_snapshot_xmin, so that a transaction that commits late is never skipped.
CREATE TABLE session_events (
  id bigint GENERATED ALWAYS AS IDENTITY,
  xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
  org_id text NOT NULL,
  session_id uuid NOT NULL,
  type text NOT NULL,
  generation bigint NOT NULL,
  data jsonb NOT NULL,
  actor text NOT NULL,
  at timestamptz NOT NULL,
  PRIMARY KEY (xid, id)
);
CREATE INDEX session_events_by_session ON session_events (session_id, id);

-- One row a command to an agent; `id` is the order of its lane. What a command carries is the session's
-- row at this generation; `payload` has what is particular to the command.
CREATE TABLE outbox (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  command_id uuid NOT NULL UNIQUE,
  org_id text NOT NULL,
  agent_id text NOT NULL,
  session_id uuid NOT NULL,
  generation bigint NOT NULL,
  type text NOT NULL,
  payload jsonb NOT NULL,
  status text NOT NULL DEFAULT 'pending'
    CHECK (status IN ('pending', 'done', 'failed', 'superseded', 'dead', 'expired', 'cancelled')),
  attempts integer NOT NULL DEFAULT 0,
  -- Sends without an ack on live connections, and retryable failures: each has its own limit.
  unacked integer NOT NULL DEFAULT 0,
  failures integer NOT NULL DEFAULT 0,
  -- Set while the row backs off; a due row has none, so that reading what is due is one index range.
  next_attempt_at timestamptz,
  -- The epoch under which the agent said that it has the command; a new connection clears it.
  acked_epoch bigint,
  expires_at timestamptz,
  last_error text,
  created_at timestamptz NOT NULL,
  sent_at timestamptz,
  acked_at timestamptz,
  finished_at timestamptz,
  UNIQUE (session_id, generation, agent_id)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);

-- What a lane reads: only rows that are due. Acked rows and rows in back-off are not in it at all.
CREATE INDEX outbox_due ON outbox (agent_id, id)
  WHERE status = 'pending' AND acked_epoch IS NULL AND next_attempt_at IS NULL;
CREATE INDEX outbox_backing_off ON outbox (next_attempt_at) WHERE status = 'pending' AND next_attempt_at IS NOT NULL;
-- What a new connection makes due again.
CREATE INDEX outbox_held ON outbox (agent_id)
  WHERE status = 'pending' AND (acked_epoch IS NOT NULL OR next_attempt_at IS NOT NULL);
CREATE INDEX outbox_expiring ON outbox (expires_at)
  WHERE status = 'pending' AND acked_epoch IS NULL AND expires_at IS NOT NULL;
-- Sent without an answer: few rows, whoever else is waiting.
CREATE INDEX outbox_unacked ON outbox (unacked) WHERE status = 'pending' AND acked_epoch IS NULL AND unacked > 0;
CREATE INDEX outbox_by_org ON outbox (org_id, id DESC);

-- Aborts the statement that called it: what it did so far is undone. Used where a statement has reserved
-- capacity and then finds that the session's row was changed by someone else.
CREATE FUNCTION abort_conflicting_commit() RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'the session was changed by someone else' USING ERRCODE = 'SS001';
END $$;
