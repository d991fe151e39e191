/**
 * Searching for names. Migration 012 keeps the words of each session's name in a table, as ranges of it are what row level security
 * lets an index answer; `LIKE` and trigrams are not.
 */
import type { OrgId } from '../../domain/ids.ts'
import { wordsOf } from '../../domain/session/name-words.ts'

type Add = (value: unknown) => string

/** What begins so lies between the beginning and this as often as a name has characters. */
const LAST_CHARACTER = 0x10ffff
const NAME_LENGTH = 80

const beginsWith = (column: string, beginning: string): string =>
  `${column} >= ${beginning} AND ${column} <= ${beginning} || repeat(chr(${LAST_CHARACTER}), ${NAME_LENGTH})`

/** A word that few names have is looked up; one of more than this many is looked for in the sessions, in the order of the list. */
const MANY = 5_000

/** `tables` are for a WITH; `few`: those of the first word that few have; `isMany`: there is no such word. */
export type Named = { readonly tables: string; readonly few: string; readonly isMany: string }

/**
 * The sessions that a search looks at. What PostgreSQL knows of words it knows of all orgs together, and to look in a million sessions
 * for a word that none of them has takes it seconds: so how many have a word is found out, up to `MANY`, and not guessed.
 */
export const namedBy = (q: string | undefined, orgId: OrgId, add: Add): Named | null => {
  const words = q === undefined ? [] : wordsOf(q)
  if (words.length === 0) return null
  const org = add(orgId)
  const tables = words.map(
    (word, n) => `
named_${n} AS MATERIALIZED (
  SELECT session_id, created_at FROM session_words
   WHERE org_id = ${org} AND ${beginsWith('word', `folded(${add(word)})`)} LIMIT ${MANY + 1}
)`,
  )
  const areMany = words.map((_, n) => `(SELECT count(*) FROM named_${n}) > ${MANY}`)
  // A session has a word twice that has two words which begin so.
  const few = words.map(
    (_, n) =>
      `SELECT DISTINCT session_id, created_at FROM named_${n} WHERE ${[...areMany.slice(0, n), `NOT ${areMany[n]}`].join(' AND ')}`,
  )
  return { tables: tables.join(','), few: few.join(' UNION ALL '), isMany: areMany.join(' AND ') }
}

/**
 * Conditions on `sessions s`: each word is the beginning of a word of the name, and what stands between spaces stands in it as it
 * is. What has no words at all is how the name begins. `each`: asked of one session after the other, whatever the planner thinks.
 */
export const isNamed = (q: string, org: string, add: Add, how: 'as planned' | 'each'): readonly string[] => {
  const words = wordsOf(q)
  if (words.length === 0) return [beginsWith('s.name_key', `lower(${add(q)})`)]
  const inTheTable = words.map((word) => {
    const those = `session_words w WHERE w.session_id = s.id AND w.org_id = ${org} AND ${beginsWith('w.word', `folded(${add(word)})`)}`
    return how === 'each' ? `coalesce((SELECT true FROM ${those} LIMIT 1), false)` : `EXISTS (SELECT FROM ${those})`
  })
  const asItIs = q.split(/\s+/).filter((part) => part !== '' && wordsOf(part).join('') !== part)
  return [...inTheTable, ...asItIs.map((part) => `strpos(folded(s.name), folded(${add(part)})) > 0`)]
}
