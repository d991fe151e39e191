/** The agent of `npm start`: enrolled at the first start, its token kept beside the database. */
import { hostname } from 'node:os'
import { join } from 'node:path'
import { createAgentStore } from '../adapters/postgres/agents.ts'
import { createCursors } from '../adapters/postgres/cursor.ts'
import { createLeaseStore } from '../adapters/postgres/leases.ts'
import { openDatabase } from '../adapters/postgres/pool.ts'
import { tokens } from '../adapters/secrets/tokens.ts'
import type { AgentId } from '../domain/ids.ts'
import { ExitError } from './program/exit-error.ts'
import { DEFAULT_ORG } from './program/first-start.ts'
import { readPrivateFile, writePrivateFile } from './program/private-file.ts'

export type LocalAgent = { readonly agentId: AgentId; readonly tokenFile: string }

export const enrolLocalAgent = async (
  databaseUrl: string,
  directory: string,
  database_: { readonly shared: boolean },
): Promise<LocalAgent> => {
  // In a database of others, another machine's `npm start` may have an agent too.
  const agentId = (
    database_.shared ? `local-${hostname().replaceAll(/[^A-Za-z0-9-]/g, '-')}`.slice(0, 63) : 'local'
  ) as AgentId
  const tokenFile = join(directory, 'agent-token')
  const database = openDatabase({ url: databaseUrl, maxConnections: 1 })
  try {
    const kept = await readPrivateFile(tokenFile)
    const known = kept === null ? null : await createLeaseStore(database).identify(tokens.hash(kept))
    if (known?.agentId === agentId) return { agentId, tokenFile }
    const token = tokens.agentToken()
    await writePrivateFile(tokenFile, token)
    const clock = { now: () => new Date() }
    const agents = createAgentStore(database, createCursors(Buffer.alloc(0)), clock, { heartbeatIntervalMs: 10_000 })
    const enrolled = await agents.enrol({
      id: agentId,
      orgId: DEFAULT_ORG,
      platform: 'process',
      region: null,
      labels: {},
      tokenHash: tokens.hash(token),
    })
    if (enrolled) return { agentId, tokenFile }
    // Enrolled before, and its token was lost: a new one, as the owner of the data directory may.
    const present = await agents.get(DEFAULT_ORG, agentId)
    if (present === null || present.platform !== 'process')
      throw new ExitError(
        1,
        `the agent id ${agentId} is taken by another agent in this database: remove it, or use another database`,
      )
    await agents.setTokenHash(present, tokens.hash(token))
    return { agentId, tokenFile }
  } finally {
    await database.close()
  }
}
