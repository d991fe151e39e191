/** What went wrong, in lines for a person: the server's words, what of it helps, and what to do next. */
import type { Problem } from '../api/problem.ts'
import { ProblemError, UnexpectedAnswerError, UnreachableError } from '../client/errors.ts'
import type { Connection } from './connection.ts'

export const explain = (error: ProblemError | UnreachableError | UnexpectedAnswerError, to: Connection): string[] => {
  if (error instanceof ProblemError) return [...problemLines(error.problem), ...hint(nextStep(error.problem, to))]
  return [error.message, ...hint(whichServer(to))]
}

export const isExplained = (error: unknown): error is ProblemError | UnreachableError | UnexpectedAnswerError =>
  error instanceof ProblemError || error instanceof UnreachableError || error instanceof UnexpectedAnswerError

const hint = (text: string | null): string[] => (text === null ? [] : [`  ${text}`])

const problemLines = (problem: Problem): string[] => {
  const { title, detail, errors = [], allowedActions, refusals = [], status, requestId } = problem
  // The server's detail usually says all of it in one line; several things are easier to read below each other.
  const inDetail = errors.every(({ message }) => detail.includes(message))
  const listed = errors.length > 1 || !inDetail
  return [
    listed && inDetail ? title : `${title}: ${detail}`,
    ...(listed ? errors.map(({ field, message }) => `  ${field || 'the body'} ${message}`) : []),
    ...(allowedActions !== undefined && !detail.includes(allowedActions.join(', '))
      ? [`  possible now: ${allowedActions.join(', ')}`]
      : []),
    ...refusals.map(
      ({ agentId, reason, detail: why }) => `  agent ${agentId}: ${reason}${why === undefined ? '' : `, ${why}`}`,
    ),
    ...(status >= 500 && status !== 503 ? [`  request ${requestId}`] : []),
  ]
}

const nextStep = (problem: Problem, to: Connection): string | null => {
  switch (problem.code) {
    case 'unauthorized':
      return whichKey(to)
    case 'unknown_template':
      return 'streamspace template list shows what there is'
    case 'unknown_agent':
      return 'streamspace agent list shows what there is, to a viewer or an operator'
    case 'no_agent':
      return 'streamspace agent list shows what there is, to a viewer or an operator; an operator enrols one with streamspace agent enrol'
    case 'agent_exists':
      return 'if it is yours, streamspace agent rotate-token <id> gives it a new token and ends the old one; else take another id'
    case 'agent_has_sessions':
      return 'streamspace agent delete <id> --force removes it all the same'
    case 'command_outdated':
      return 'streamspace command list --session <id> shows the newest'
    case 'unavailable':
    case 'not_ready':
      return 'streamspace status shows how it is'
    default:
      return null
  }
}

const whichServer = ({ url, urlIsSet }: Connection): string =>
  `is the server running? STREAMSPACE_URL is ${urlIsSet ? url : `not set, so it is looked for at ${url}`}`

const whichKey = ({ url, keySource }: Connection): string => {
  switch (keySource.kind) {
    case 'environment':
      return `STREAMSPACE_API_KEY is set, but it is no key of ${url}`
    case 'file':
      return `the key is from ${keySource.path}: set STREAMSPACE_API_KEY if ${url} is another server`
    case 'none':
      return keySource.unreadable === null
        ? 'set STREAMSPACE_API_KEY; npm start keeps it in .streamspace/admin-key (STREAMSPACE_DATA_DIR), where it is found when the server is on this machine'
        : `set STREAMSPACE_API_KEY; there is a key in ${keySource.unreadable}, but you may not read it`
  }
}
