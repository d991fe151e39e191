/**
 * A place for one session, `$3` the agent (null: none is wanted), `$4` and `$5` what it takes: as a step of the statement
 * that commits what the place is for. Without room, or on an agent that is cordoned or gone, it returns no row; nor
 * where `condition` does not hold.
 */
export const reserveRoom = (condition: string): string => `
  UPDATE agents
     SET allocated_sessions = allocated_sessions + 1,
         allocated_cpu_millis = allocated_cpu_millis + $4::int,
         allocated_memory_mib = allocated_memory_mib + $5::int
   WHERE id = $3::text AND NOT cordoned AND ${condition}
     AND allocated_sessions + 1 <= max_sessions
     AND allocated_cpu_millis + $4::int <= cpu_millis
     AND allocated_memory_mib + $5::int <= memory_mib
  RETURNING id
`

export const RESERVE_ROOM = reserveRoom('true')
