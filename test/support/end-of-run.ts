/**
 * What must happen once when the last test of a mocha run is over, such as stopping the database server; also
 * when the run is interrupted, of which mocha itself takes no notice.
 * Loaded by every run (.mocharc.json), so nothing heavy may be imported here: unit tests start in an instant.
 */
import { constants } from 'node:os'

type Ending = () => Promise<void>

const endings: Ending[] = []

/** The last thing started is the first one stopped. */
export const atEndOfRun = (ending: Ending): void => {
  endings.unshift(ending)
}

/** Mocha calls this by its name. */
export const mochaGlobalTeardown = async (): Promise<void> => {
  for (const ending of endings.splice(0)) await ending()
}

let interrupted = false
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    // A terminal's Ctrl-C may come from the terminal and from the program that runs us.
    if (interrupted) return
    interrupted = true
    void mochaGlobalTeardown().finally(() => process.exit(128 + constants.signals[signal]))
  })
}
