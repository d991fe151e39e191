/**
 * A program with an embedded database, to be killed by the tests: starts it in the directory of its first
 * argument, prints `{"pid","url"}` and runs until SIGTERM or SIGINT, which it follows with an orderly stop.
 */
import { startEmbeddedPostgres } from '../../../adapters/embedded-postgres/start.ts'

const [, , dataDir = ''] = process.argv
let end = (): void => process.exit(1)
process.once('SIGTERM', () => end())
process.once('SIGINT', () => end())

const server = await startEmbeddedPostgres({ dataDir, onLog: (line) => console.error(line) })
const alive = setInterval(() => {}, 60_000)
end = () => {
  clearInterval(alive)
  void server.stop()
}
console.log(JSON.stringify({ pid: server.pid, url: server.url }))
