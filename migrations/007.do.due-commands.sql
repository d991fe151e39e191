-- What is due of an agent above an id, but for those that its lane has in flight, in the order of the lane: a range of
-- `outbox_due`, and nothing else that PostgreSQL could read instead, whatever its statistics say.
--
-- A comparison of rows is no equality, so only that index gives this order; with `agent_id = …` the primary key would
-- too, and where most rows wait for one dead agent it expects as many for every other, and looks for theirs in the whole table.
-- One plan is kept, where the cost of one made when the table was small would have each read planned anew; and none
-- that reads the whole table is, though it be a page long when the plan is made.
CREATE FUNCTION due_commands(of_agent text, above bigint, in_flight bigint[], at_most integer) RETURNS SETOF outbox
LANGUAGE plpgsql STABLE ROWS 1
SET plan_cache_mode = 'force_generic_plan' SET enable_seqscan = off
AS $$
BEGIN
  RETURN QUERY
    SELECT * FROM outbox o
     WHERE (o.agent_id, o.id) > (of_agent, above) AND o.agent_id <= of_agent
       AND o.status = 'pending' AND o.acked_epoch IS NULL AND o.next_attempt_at IS NULL
       AND o.id NOT IN (SELECT unnest(in_flight))
     ORDER BY o.agent_id, o.id LIMIT at_most;
END $$;
