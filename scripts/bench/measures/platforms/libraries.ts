/**
 * A process that imports what an agent's process imports from others, and nothing of ours: what is left of an agent's memory
 * above this is the agent's own.
 *
 *   node libraries.ts docker | kubernetes
 */
import 'commander'
import 'fp-ts/lib/Either.js'
import 'fp-ts/lib/TaskEither.js'
import 'fp-ts/lib/function.js'
import 'io-ts'
import 'pino'
import 'ws'
import 'node:http'
import 'node:https'

await (process.argv[2] === 'docker' ? import('dockerode') : import('@kubernetes/client-node'))
process.stdout.write('imported\n')
setInterval(() => {}, 2 ** 30)
