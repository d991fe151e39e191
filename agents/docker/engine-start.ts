/**
 * Whether a program ended by itself, or because its engine or machine went down. The engine does not say: after a loss of
 * power it writes 255, on its way down it sends SIGTERM, and what a program answers to that is the program's. So it is
 * asked which of the two is older, the program or the engine as it runs now.
 */
import { stat } from 'node:fs/promises'

/**
 * When the engine was started, in milliseconds since the epoch of its own clock; null: that cannot be known. It makes its default network
 * and its socket anew each time (Docker 20.10; a socket of systemd's is older, and an engine may be without that network).
 */
export const engineStart = async (
  bridgeCreated: string | undefined,
  socketPath: string | undefined,
): Promise<number | null> => {
  const times = [bridgeCreated === undefined ? Number.NaN : Date.parse(bridgeCreated)]
  if (socketPath !== undefined)
    times.push(
      await stat(socketPath).then(
        ({ mtimeMs }) => mtimeMs,
        () => Number.NaN,
      ),
    )
  const known = times.filter((time) => Number.isFinite(time))
  return known.length === 0 ? null : Math.max(...known)
}

type Ended = { readonly startedAt: string; readonly finishedAt: string; readonly exitCode: number }

/** SIGTERM obeyed well or not at all, SIGKILL, and what is written of a program that was simply gone. */
const CODES_OF_A_SHUTDOWN: readonly number[] = [0, 143, 137, 255]
/** An engine that is stopped and started again takes no longer, as a rule. */
const JUST_BEFORE_MS = 60_000

/**
 * `wasAway`: this agent was watching until the engine went away, so that nothing can have ended before unseen. Of what ended while nobody
 * was looking, hours before the engine was started, the exit code is all that tells.
 */
export const endedWithEngine = (startOfEngine: number | null, ended: Ended | null, wasAway: boolean): boolean => {
  if (ended === null || startOfEngine === null) return wasAway
  if (Date.parse(ended.startedAt) >= startOfEngine) return false
  return (
    wasAway ||
    Date.parse(ended.finishedAt) >= startOfEngine - JUST_BEFORE_MS ||
    CODES_OF_A_SHUTDOWN.includes(ended.exitCode)
  )
}
