-- Why each agent cannot take a session that waits for a place: the sentence of `status_message`, agent by agent.
ALTER TABLE sessions ADD COLUMN refusals jsonb;
