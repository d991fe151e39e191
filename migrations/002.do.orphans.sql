-- What agents have that is not theirs here, its removal, and the brake on it.

-- One row for each time that an agent has something of a session that the database does not know, or that is
-- another agent's: from the first inventory that has it until the first that has it no more. No reference to
-- `agents`: what was removed counts for a day, whatever becomes of the agent.
CREATE TABLE orphans (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  agent_id text NOT NULL,
  -- The agent's org, null for a shared one.
  org_id text,
  session_id uuid NOT NULL,
  generation bigint NOT NULL,
  status text NOT NULL,
  reason text NOT NULL CHECK (reason IN ('unknown', 'not_yours')),
  state text NOT NULL DEFAULT 'seen' CHECK (state IN ('seen', 'approved', 'removing', 'removed', 'gone', 'known')),
  first_seen_at timestamptz NOT NULL DEFAULT now(),
  last_seen_at timestamptz NOT NULL DEFAULT now(),
  approved_at timestamptz,
  approved_by text,
  -- The newest command that removes it, and the generation that it carries.
  command_id uuid UNIQUE,
  removal_generation bigint,
  removal_begun_at timestamptz,
  ended_at timestamptz
) WITH (fillfactor = 70);
CREATE UNIQUE INDEX orphans_open ON orphans (agent_id, session_id) WHERE ended_at IS NULL;
CREATE INDEX orphans_by_agent ON orphans (agent_id, id);
-- What the brake counts: what a person has approved is none of its business.
CREATE INDEX orphans_counted ON orphans (removal_begun_at) WHERE removal_begun_at IS NOT NULL AND approved_at IS NULL;

-- What the brake knows of an agent: how many sessions of its own its last inventory had, and why nothing is
-- removed from it at the moment.
CREATE TABLE orphan_brakes (
  agent_id text PRIMARY KEY REFERENCES agents ON DELETE CASCADE,
  sessions integer NOT NULL,
  held_reason text,
  held_at timestamptz
) WITH (fillfactor = 50);

-- One row. Whoever removes orphans by itself holds it locked: two servers that judge at once judge one after
-- the other. While `halted_at` is set nothing is removed anywhere that nobody has approved.
CREATE TABLE orphan_removal (
  is_the_only_row boolean PRIMARY KEY DEFAULT true CHECK (is_the_only_row),
  halted_at timestamptz,
  halted_by text,
  halted_reason text,
  resumed_at timestamptz,
  resumed_by text
);
INSERT INTO orphan_removal DEFAULT VALUES;

-- What happened to an agent beside its sessions: the trail of its orphans.
CREATE TABLE agent_events (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  agent_id text NOT NULL REFERENCES agents ON DELETE CASCADE,
  type text NOT NULL,
  data jsonb NOT NULL,
  actor text NOT NULL,
  at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX agent_events_by_agent ON agent_events (agent_id, id);
