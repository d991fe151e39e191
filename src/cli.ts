/** The program: `scripts/streamspace <command>`. */
import { keepCompiled } from './program/compiled.ts'
import { endUntilStarted } from './program/signals.ts'

// Reading the rest takes a good part of a second, in which a signal has to end the program in order, too.
endUntilStarted()
keepCompiled()
const { main } = await import('./cli/main.ts')
process.exitCode = await main(process.argv.slice(2))
