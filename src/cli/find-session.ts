import { isUuid } from '../../domain/ids.ts'
import type { Session } from '../api/session.ts'
import type { Client } from '../client/client.ts'
import { ExitError } from '../program/exit-error.ts'
import { age } from './age.ts'
import { oneLine } from './text-width.ts'

const LONGEST_NAME = 80

/** The id of a session that a person names by its id or, when only one has it, its whole name. */
export const findSession = async (client: Pick<Client, 'sessions'>, named: string): Promise<string> => {
  if (isUuid(named)) return named.toLowerCase()
  const found = named.length > LONGEST_NAME || named === '' ? [] : await withName(client, named)
  const [only] = found
  if (only === undefined)
    throw new ExitError(
      1,
      `there is no session with the id or name ${JSON.stringify(named)}\n  streamspace session list shows what there is`,
    )
  if (found.length > 1) throw new ExitError(1, ambiguous(named, found))
  return only.id
}

/** The API's `q` is the beginning of a name in any case; a command takes exactly what was written. */
const withName = async (client: Pick<Client, 'sessions'>, name: string): Promise<readonly Session[]> => {
  const { items } = await client.sessions.list({ q: name }, Number.POSITIVE_INFINITY)
  return items.filter((session) => session.name === name)
}

const ambiguous = (named: string, found: readonly Session[]): string =>
  [
    `${found.length} sessions have the name ${JSON.stringify(named)}: use an id`,
    ...found.map((session) => `  ${session.id}  ${session.status}  ${age(session.createdAt, Date.now())} old`),
  ]
    .map(oneLine)
    .join('\n')
