-- session_events as a feed. A position in it is (feed, xid, id), and means something in this history of transactions alone: after a
-- restore, or a promotion that may have lost the last of them, the same numbers are given again. So the feed has a name, which
-- changes when the server finds that the history is another one (adapters/postgres/feed-identity.ts).
CREATE TABLE feed (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  name text NOT NULL,
  -- Where it was found last: the PostgreSQL installation, and the database in it with its timeline. null: not looked at yet.
  cluster text,
  history text
);
INSERT INTO feed (name) VALUES (substr(gen_random_uuid()::text, 1, 8));

ALTER TABLE feed ENABLE ROW LEVEL SECURITY;
CREATE POLICY system ON feed TO streamspace_system USING (true);
CREATE POLICY visible ON feed FOR SELECT TO streamspace_tenant USING (true);
GRANT SELECT, UPDATE ON feed TO streamspace_system;
GRANT SELECT ON feed TO streamspace_tenant;

-- The newest event of an org that retention has removed: who has not read as far as this has missed something.
CREATE TABLE session_events_removed (
  org_id text PRIMARY KEY,
  xid xid8 NOT NULL,
  id bigint NOT NULL
);
ALTER TABLE session_events_removed ENABLE ROW LEVEL SECURITY;
CREATE POLICY system ON session_events_removed TO streamspace_system USING (true);
CREATE POLICY visible ON session_events_removed FOR SELECT TO streamspace_tenant USING (org_id = current_setting('streamspace.org', true));
GRANT SELECT, INSERT, UPDATE, DELETE ON session_events_removed TO streamspace_system;
GRANT SELECT ON session_events_removed TO streamspace_tenant;

-- How far the server itself has read, by what for. Kept right when the feed gets another name, so that nothing is passed over.
CREATE TABLE feed_positions (
  reader text PRIMARY KEY,
  feed text NOT NULL,
  xid xid8 NOT NULL,
  id bigint NOT NULL
);
ALTER TABLE feed_positions ENABLE ROW LEVEL SECURITY;
CREATE POLICY system ON feed_positions TO streamspace_system USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON feed_positions TO streamspace_system;
