/** What can go wrong with a call to the engine, and how that is told apart. */
import { messageOf } from '../runtime/log.ts'

export class EngineError extends Error {
  readonly status: number | null
  constructor(message: string, status: number | null) {
    super(message)
    this.status = status
  }
}

/** Nobody asks the engine any more: it is known to be silent, or the agent ends. */
export class GivenUp extends EngineError {
  constructor(why: string) {
    super(why, null)
  }
}

export const isStatus = (error: unknown, ...statuses: readonly number[]): boolean =>
  error instanceof EngineError && error.status !== null && statuses.includes(error.status)
/** There is nothing of that name or id (any more). */
export const isMissing = (error: unknown): boolean =>
  isStatus(error, 404) || (error instanceof EngineError && /^No such container/.test(error.message))
/** At the end of what the engine says (its runtime adds `: unknown`): a template may have any words in the middle. */
export const isFullDisk = (error: unknown): boolean =>
  error instanceof EngineError && /(no space left on device|disk quota exceeded)(: unknown)?\.?$/i.test(error.message)
export const isUnreachable = (error: unknown): boolean => error instanceof EngineError && error.status === null

/** What a person can do about an engine that is not reached, where that can be known. */
const explained = (message: string): string =>
  /\bE(ACCES|PERM)\b/.test(message)
    ? `${message}: permission denied: add the user to the group docker or set DOCKER_HOST`
    : /\bE(NOENT|CONNREFUSED)\b/.test(message)
      ? `${message}: start the engine or set DOCKER_HOST`
      : message

export const engineErrorOf = (error: unknown): EngineError => {
  if (error instanceof EngineError) return error
  const { statusCode, json } = error as { statusCode?: number; json?: { message?: string } | null }
  const message = (json?.message ?? messageOf(error).replace(/^\(HTTP code \d+\) [a-z ]+ - /, '')).trim()
  return typeof statusCode === 'number'
    ? new EngineError(message, statusCode)
    : new EngineError(explained(message), null)
}
