/**
 * Regular expressions that templates bring along, matched with a limit of time: one that backtracks without
 * end ("catastrophic backtracking") must not stop the server, whose one thread it would run on.
 */
import { createContext, Script } from 'node:vm'

const LIMIT_MS = 50

const match = new Script('new RegExp(pattern, "u").test(value)')

/** What takes longer than 50 ms does not match. Nothing but the two strings gets into the context. */
export const limitedMatch = (pattern: string, value: string): boolean => {
  const context = createContext(Object.assign(Object.create(null), { pattern, value }))
  try {
    return match.runInContext(context, { timeout: LIMIT_MS }) === true
  } catch {
    return false
  }
}
