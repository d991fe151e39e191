/**
 * Mocha's `spec` reporter that also writes how many tests passed, failed (and which) and were skipped, as JSON, into the
 * file named by `--reporter-option counts=<file>`. No file means that mocha died before its end.
 *
 * Mocha is run without `--exit`, so that a test that leaves a socket or a timer open is seen. Without a bound
 * it would be seen as a build that never ends; here it becomes a failure that names what is still open.
 */
import { writeFileSync } from 'node:fs'
import Mocha from 'mocha'
import type { Counts } from './counts.ts'

const graceAfterLastTestMs = 15_000

export default class CountingReporter extends Mocha.reporters.Spec {
  constructor(runner: Mocha.Runner, options: Mocha.MochaOptions) {
    super(runner, options)
    const file: unknown = options.reporterOptions?.counts
    if (typeof file !== 'string') throw new Error('this reporter needs --reporter-option counts=<file>')
    const write = (counts: Counts): void => writeFileSync(file, JSON.stringify(counts))

    runner.once(Mocha.Runner.constants.EVENT_RUN_END, () => {
      const { passes, failures, pending } = this.stats
      const which = this.failures.map((test) => `${test.titlePath().join(' › ')}\n  ${test.err?.message ?? ''}`)
      write({ passed: passes, failed: failures, skipped: pending, failures: which })
      setTimeout(() => {
        console.error(`\nStill open ${graceAfterLastTestMs / 1000} s after the last test:`, openThings())
        console.error('A test or its teardown must close it. Counted as one failure.')
        write({
          passed: passes,
          failed: failures + 1,
          skipped: pending,
          failures: [...which, 'something is still open'],
        })
        process.exit(1)
      }, graceAfterLastTestMs).unref()
    })
  }
}

/** Without the standard streams, which are open in every process. */
const openThings = (): string[] =>
  process.getActiveResourcesInfo().filter((name) => name !== 'TTYWrap' && name !== 'PipeWrap')
