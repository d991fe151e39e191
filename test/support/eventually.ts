/**
 * Waits until an assertion holds, instead of sleeping for as long as it usually takes.
 *
 *   await eventually(async () => expect(await statusOf(id)).to.equal('running'))
 */
import { setTimeout as wait } from 'node:timers/promises'

/**
 * For giving up, not for measuring: a machine that runs several lanes of tests may take many times as long as an idle one, and whoever
 * has to hold a bar says `within`. Less than the minute after which servers and agents look again by themselves, which would hide
 * that they were not told; and less than mocha gives a test, so that a failure tells what was not so.
 */
export const PATIENCE_MS = 45_000

/** What the assertion returns when it holds. Its last failure, with the time it was given, when it never does. */
export const eventually = async <A>(
  assertion: () => A | Promise<A>,
  { within = PATIENCE_MS }: { readonly within?: number } = {},
): Promise<A> => {
  const deadline = performance.now() + within
  for (let attempt = 1, pause = 10; ; attempt += 1, pause = Math.min(pause * 1.5, 200)) {
    try {
      return await assertion()
    } catch (failure) {
      if (performance.now() + pause > deadline) throw explained(failure, attempt, within)
    }
    await wait(pause)
  }
}

/** The same error, so that its stack and the difference it shows are those of the assertion. */
const explained = (failure: unknown, attempts: number, within: number): Error => {
  const error = failure instanceof Error ? failure : new Error(String(failure))
  error.message = `still not so after ${within} ms and ${attempts} attempts: ${error.message}`
  return error
}
