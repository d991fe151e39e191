-- What is there now, among all that an agent ever had: the list of its orphans, and of those alone. Without it the
-- list walks past every orphan that has ended, as long as those are kept.
CREATE INDEX orphans_present ON orphans (agent_id, id) WHERE ended_at IS NULL;
