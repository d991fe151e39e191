/** The process platform for the conformance suite. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { WireSpec } from '../../../agents/protocol.ts'
import type { SessionId } from '../../../domain/ids.ts'
import { workplace } from '../../support/process-agent.ts'
import type { Place, PlatformUnderTest } from './platform-under-test.ts'

const program = (command: readonly string[]): Partial<WireSpec> => ({ process: { command: [...command] } })

/** The home is served as busybox's httpd does it in the other platforms. */
const serveHome =
  "require('http').createServer((q, a) => { try { a.end(require('fs').readFileSync('.' + q.url.split('?')[0])) } catch { a.writeHead(404); a.end() } }).listen(process.env.PORT, '127.0.0.1')"

/** Pids, names and arguments of all that bears a session's id. */
const processesOf = (marks: readonly string[]): readonly string[] =>
  execFileSync('ps', ['axeww', '-o', 'pid=,args='], { encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 })
    .split('\n')
    .filter((line) => !line.includes('ps axeww') && marks.some((mark) => line.includes(mark)))

const place = async (): Promise<Place> => {
  const here = workplace()
  const sessionIds = (): readonly string[] =>
    existsSync(join(here.stateDir, 'sessions')) ? readdirSync(join(here.stateDir, 'sessions')) : []
  return {
    agent: ({ dieAt } = {}) => here.agent({}, dieAt),
    script: (script) => program(['sh', '-c', script]),
    server: (script) => ({
      ...program(['sh', '-c', `${script}; exec node -e "$0"`, serveHome]),
      ports: [{ name: 'http', protocol: 'http' }],
    }),
    removeWorkload: async (sessionId) => {
      for (const line of processesOf([sessionId])) {
        const pid = Number.parseInt(line, 10)
        try {
          process.kill(pid, 'SIGKILL')
        } catch {
          // It has ended with its parent.
        }
      }
    },
    homeFile: async (sessionId, name) => readFileSync(join(here.sessionDir(sessionId), 'home', name), 'utf8'),
    left: async () => sessionIds().map((id) => `session ${id}`),
    picture: async () =>
      JSON.stringify(
        sessionIds().map((id) => [
          readFileSync(join(here.sessionDir(id as SessionId), 'record.json'), 'utf8'),
          processesOf([id]),
        ]),
      ),
    bystander: async () => {
      const folder = mkdtempSync(join(tmpdir(), 'bystander-'))
      return {
        isThere: async () => existsSync(folder),
        remove: async () => rmSync(folder, { recursive: true, force: true }),
      }
    },
    close: here.close,
  }
}

export const processUnderTest: PlatformUnderTest = {
  name: 'process',
  needs: () => {},
  place,
  steps: [
    'recorded',
    'run_prepared',
    'run_recorded',
    'begun',
    'ready',
    'discarded',
    'taken_down',
    'removed',
    'waiting_to_restart',
  ],
  fence: 'refuses',
  recoversFromNothing: false,
  removedReason: 'exited_early',
  atOnce: 1,
  openMs: 20_000,
  startMs: 1_000,
  patienceMs: 8_000,
}
