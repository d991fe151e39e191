-- What is due of an agent above an id, but for what its lane has in flight, in the order of the lane; nothing when the epoch is no
-- longer the agent's. One range of `outbox_due`, however many rows wait for other agents or back off.
--
-- A comparison of rows is no equality, so only that index gives this order; with `agent_id = …` the primary key would
-- too, and where most rows wait for one dead agent PostgreSQL expects as many for every other, and looks for theirs in the whole table.
-- The settings rule out what it could do instead where it expects few rows: read the table, or all that is due to the agent.
-- One plan is kept, where what it was thought to cost when the table was new would have each read planned anew.
CREATE FUNCTION due_commands(of_agent text, of_epoch bigint, above bigint, in_flight bigint[], at_most integer)
RETURNS TABLE (
  id bigint, command_id uuid, agent_id text, session_id uuid, generation bigint, type text, payload jsonb, attempts integer,
  expires_at timestamptz, spec jsonb, env jsonb, platform text, secrets bytea, persistent_home boolean, org_id text,
  user_id text, name text, template_name text, template_version integer
)
LANGUAGE plpgsql STABLE ROWS 1
SET plan_cache_mode = 'force_generic_plan' SET enable_seqscan = off SET enable_bitmapscan = off
AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
    SELECT o.id, o.command_id, o.agent_id, o.session_id, o.generation, o.type, o.payload, o.attempts, o.expires_at,
           s.spec, s.env, s.platform, s.secrets, s.persistent_home, s.org_id, s.user_id, s.name, s.template_name,
           s.template_version
      FROM (SELECT * FROM outbox
             WHERE (outbox.agent_id, outbox.id) > (due_commands.of_agent, due_commands.above)
               AND outbox.agent_id <= due_commands.of_agent
               AND status = 'pending' AND acked_epoch IS NULL AND next_attempt_at IS NULL
               AND outbox.id NOT IN (SELECT unnest(due_commands.in_flight))
               AND EXISTS (SELECT FROM agent_leases l
                            WHERE l.agent_id = due_commands.of_agent AND l.epoch = due_commands.of_epoch)
             ORDER BY outbox.agent_id, outbox.id LIMIT due_commands.at_most) o
      LEFT JOIN sessions s ON s.id = o.session_id;
END $$;
