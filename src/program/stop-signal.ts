/**
 * SIGTERM and SIGINT end a program in order. A second signal later than a second ends it at once; within
 * that second it is the same Ctrl-C, which reaches the program from the terminal and again from npm.
 */
import { hearSignals } from './signals.ts'

const SAME_SIGNAL_MS = 1_000
/** An orderly end that takes longer is not one (`docs/operations.md`). */
const END_WITHIN_MS = 9_500

/** Resolves at the first signal. Handlers stay: what comes after it is handled here too. */
export const stopSignal = (): Promise<NodeJS.Signals> =>
  new Promise((resolve) => {
    let first: number | null = null
    const onSignal = (signal: NodeJS.Signals): void => {
      if (first === null) {
        first = performance.now()
        resolve(signal)
        setTimeout(() => {
          process.stderr.write(`not stopped after ${END_WITHIN_MS} ms: ended at once\n`)
          process.exit(1)
        }, END_WITHIN_MS).unref()
      } else if (performance.now() - first > SAME_SIGNAL_MS) process.exit(1)
    }
    hearSignals(onSignal)
  })
