/** `--wait` as the commands use it: the line that changes, and how an outcome is told. */
import { type Command, Option } from 'commander'
import type { DesiredState } from '../../domain/session/words.ts'
import type { Session } from '../api/session.ts'
import { ExitError } from '../program/exit-error.ts'
import { duration } from './age.ts'
import type { Context } from './context.ts'
import { type JsonOption, jsonOption, seconds } from './options.ts'
import { exitOf, outputLines, reasonOf, sessionLine } from './session-view.ts'
import { fitted, oneLine } from './text-width.ts'
import { type Unreached, waitFor } from './wait.ts'

export type WaitOptions = JsonOption & { readonly wait?: true; readonly timeout: number }

const DEFAULT_TIMEOUT_SECONDS = 300

export const withWaitOptions = (command: Command): Command =>
  command
    .addOption(new Option('--wait', 'wait until it is so, or failed; shows how it goes when a person looks on'))
    .addOption(
      new Option('--timeout <seconds>', 'how long --wait waits').argParser(seconds).default(DEFAULT_TIMEOUT_SECONDS),
    )
    .addOption(jsonOption())

/**
 * The session as it is in the end. Without `--wait` that is what the server answered; with it, anything but
 * what was asked ends the program with status 1 and the reason.
 */
export const settle = async (
  context: Context,
  asked: Session,
  wanted: DesiredState,
  options: WaitOptions,
): Promise<Session | null> => {
  if (!options.wait) return asked
  const { terminal } = context
  const client = await context.client()
  const outcome = await waitFor(asked, wanted, {
    client,
    timeoutMs: options.timeout * 1_000,
    onLook: (session, elapsedMs, trouble) => {
      if (terminal.interactive)
        terminal.progress(fitted(progressLine(session, elapsedMs, trouble), terminal.errorWidth - 1))
    },
  }).finally(() => {
    if (terminal.interactive) terminal.progress(null)
  })
  if (outcome.kind === 'reached') return outcome.session
  if (options.json && outcome.kind !== 'gone') terminal.json(outcome.session)
  throw new ExitError(1, unreached(outcome, asked, wanted, options.timeout))
}

export const progressLine = (session: Session, elapsedMs: number, trouble: string | null): string =>
  oneLine(
    [session.status, trouble === null ? reasonOf(session) : `${trouble}; asking again`, duration(elapsedMs)]
      .filter((part) => part !== null)
      .join(' · '),
  )

export const unreached = (outcome: Unreached, asked: Session, wanted: DesiredState, timeoutSeconds: number): string => {
  switch (outcome.kind) {
    case 'gone':
      return `session ${asked.id} was deleted while it was waited for`
    case 'overruled':
      return `session ${asked.id} was asked to be ${outcome.session.desiredState} while it was waited for; it is ${outcome.session.status}`
    case 'timeout':
      return [
        `after ${timeoutSeconds} s not ${wanted} yet: ${sessionLine(outcome.session)}`,
        '  it goes on without being waited for: streamspace session get shows how',
      ].join('\n')
    case 'failed': {
      const exit = exitOf(outcome.session)
      return [
        sessionLine(outcome.session),
        ...(exit === null ? [] : [`exit: ${exit}`]),
        ...outputLines(outcome.session),
      ].join('\n  ')
    }
  }
}
