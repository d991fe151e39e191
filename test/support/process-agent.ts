/** Process agents for tests: each in a process of its own, everything they left ended and removed afterwards. */
import { randomUUID } from 'node:crypto'
import { chmodSync, chownSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readProcess } from '../../agents/process/process-table.ts'
import type { SessionRecord } from '../../agents/process/session-record.ts'
import type { ProcessSettings } from '../../agents/process/settings.ts'
import type { Desired, WireSpec } from '../../agents/protocol.ts'
import type { Applied, Target } from '../../agents/runtime/platform.ts'
import type { SessionId } from '../../domain/ids.ts'
import { AgentProcess } from './agent-process.ts'
import { eventually, PATIENCE_MS } from './eventually.ts'

export { AgentProcess }

export const isRoot = process.getuid?.() === 0
/** `nobody`: what an agent that is not root can do. */
export const NOBODY = 65_534
export const whoAgentsAre: readonly (number | null)[] = isRoot ? [null, NOBODY] : [null]
export const nameOf = (uid: number | null): string => (uid === null ? (isRoot ? 'root' : 'this user') : 'nobody')

export const aSessionId = (): SessionId => randomUUID() as SessionId

export type SpecOf = Partial<WireSpec> & { readonly command?: readonly string[] }

/** A session that should run: a shell script when `command` is a single line. */
export const target = (
  sessionId: SessionId,
  spec: SpecOf,
  rest: { readonly generation?: number } & Partial<Omit<Desired, 'spec'>> = {},
): Target => {
  const { generation = 1, ...desired } = rest
  const { command, ...others } = spec
  return {
    sessionId,
    generation,
    desired: {
      state: 'running',
      incarnation: 0,
      persistentHome: true,
      orgId: 'org-a',
      userId: 'user-1',
      name: 'a-session',
      template: { name: 'a-template', version: 1 },
      ...desired,
      spec: {
        resources: { cpuMillis: 100, memoryMib: 256 },
        env: {},
        startTimeoutSeconds: 10,
        stopGraceSeconds: 2,
        ...(command === undefined ? {} : { process: { command: [...command] } }),
        ...others,
      } as WireSpec,
    },
  }
}

export const sh = (script: string): readonly string[] => ['sh', '-c', script]
export const nodeScript = (script: string): readonly string[] => ['node', '-e', script]
/** Listens on its PORT and answers. */
export const aServer = nodeScript(
  "require('http').createServer((q, a) => a.end('hello')).listen(process.env.PORT, '127.0.0.1')",
)
/** What an agent saw of a session when it had applied a command. */
export const observedOf = (applied: Applied) => (applied.kind === 'applied' ? applied.observed : null)

export const httpPort: NonNullable<WireSpec['ports']> = [{ name: 'http', protocol: 'http' }]

export type Workplace = {
  readonly stateDir: string
  readonly settings: ProcessSettings
  readonly uid: number | null
  /** A new agent on the same state directory. */
  readonly agent: (more?: Partial<ProcessSettings>, dieAt?: string) => Promise<AgentProcess>
  readonly record: (sessionId: SessionId) => SessionRecord
  readonly sessionDir: (sessionId: SessionId) => string
  readonly commandPid: (sessionId: SessionId) => number
  /** As if the machine had gone down, but for the sessions. */
  readonly killAgents: () => Promise<void>
  readonly close: () => Promise<void>
}

/** A state directory of its own. `close` ends every session and agent in it and removes it. */
export const workplace = (
  uid: number | null = null,
  { execPath, mode = 0o711 }: { readonly execPath?: string; readonly mode?: number } = {},
): Workplace => {
  const folder = mkdtempSync(join(tmpdir(), 'process-agent-'))
  chmodSync(folder, mode)
  if (uid !== null) chownSync(folder, uid, uid)
  const stateDir = join(folder, 'state')
  const settings: ProcessSettings = { stateDir, pollMs: 50, backoff: { baseMs: 20, capMs: 100 } }
  const agents: AgentProcess[] = []
  const sessionDir = (sessionId: SessionId): string => join(stateDir, 'sessions', sessionId)
  const record = (sessionId: SessionId): SessionRecord =>
    JSON.parse(readFileSync(join(sessionDir(sessionId), 'record.json'), 'utf8')) as SessionRecord

  const agent: Workplace['agent'] = async (more = {}, dieAt) => {
    const made = new AgentProcess(uid, execPath)
    agents.push(made)
    await made.open({ platform: 'process', settings: { ...settings, ...more } }, dieAt)
    return made
  }

  const killAgents = async (): Promise<void> => {
    for (const one of agents.splice(0))
      if (one.child.exitCode === null && one.child.signalCode === null) await one.kill9()
  }

  const close = async (): Promise<void> => {
    await killAgents()
    const left = existsSync(join(stateDir, 'sessions')) ? readdirSync(join(stateDir, 'sessions')) : []
    if (left.length > 0) {
      const last = await agent()
      for (const { sessionId } of await last.inventory())
        await last.apply(target(sessionId, { stopGraceSeconds: 0 }, { generation: 1_000_000, state: 'deleted' }))
      await last.close()
    }
    rmSync(folder, { recursive: true, force: true })
  }

  return {
    stateDir,
    settings,
    uid,
    agent,
    record,
    sessionDir,
    commandPid: (sessionId) => {
      const run = record(sessionId).run
      const line = readFileSync(join(sessionDir(sessionId), 'run', run?.instance ?? '', 'pid'), 'utf8')
      return Number.parseInt(line, 10)
    },
    killAgents,
    close,
  }
}

export const isRunning = async (pid: number): Promise<boolean> => (await readProcess(pid)) !== null

export const gone = (pid: number, within = PATIENCE_MS): Promise<void> =>
  eventually(
    async () => {
      if (await isRunning(pid)) throw new Error(`process ${pid} still runs`)
    },
    { within },
  )

/** What a file says, once it says something. */
export const written = (path: string, within = PATIENCE_MS): Promise<string> =>
  eventually(
    () => {
      const text = readFileSync(path, 'utf8')
      if (text === '') throw new Error(`${path} is empty`)
      return text
    },
    { within },
  )
