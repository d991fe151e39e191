-- What waits to be sent, webhook by webhook: which have anything, how many jobs each has, and what is next (adapters/postgres/webhook-turns.ts).
-- By status alone, the few that have a job lie at the far end of all that wait.
CREATE INDEX webhook_deliveries_waiting ON webhook_deliveries (webhook_id, job_until, id) WHERE status = 'pending';
