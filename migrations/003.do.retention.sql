-- Tombstones in the order in which they came to be, for the duty that removes the old ones. Commands and events
-- need no index of their own for that: their keys rise with time.
CREATE INDEX sessions_tombstones ON sessions (deleted_at, id) WHERE deleted_at IS NOT NULL;
