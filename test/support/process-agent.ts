/** Process agents for tests: each in a process of its own, everything they left ended and removed afterwards. */
import { type ChildProcess, fork } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { chmodSync, chownSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { readProcess } from '../../agents/process/process-table.ts'
import type { SessionRecord } from '../../agents/process/session-record.ts'
import type { ProcessSettings } from '../../agents/process/settings.ts'
import type { Desired, InventoryItem, WireSpec } from '../../agents/protocol.ts'
import type { Applied, PlatformReport, Target } from '../../agents/runtime/platform.ts'
import type { SessionId } from '../../domain/ids.ts'
import { atEndOfRun } from './end-of-run.ts'
import { eventually } from './eventually.ts'
import type { HarnessMessage, HarnessRequest } from './process-agent-harness.ts'

const harness = fileURLToPath(new URL('process-agent-harness.ts', import.meta.url))
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

type Command<R = HarnessRequest> = R extends HarnessRequest ? Omit<R, 'id'> : never

/** So that the second of many agents does not compile the same modules again. */
const compileCaches = new Map<number | null, string>()
const compileCacheFor = (uid: number | null): string => {
  const known = compileCaches.get(uid)
  if (known !== undefined) return known
  const folder = mkdtempSync(join(tmpdir(), 'compile-cache-'))
  if (uid !== null) chownSync(folder, uid, uid)
  compileCaches.set(uid, folder)
  atEndOfRun(async () => rmSync(folder, { recursive: true, force: true }))
  return folder
}

export class AgentProcess {
  readonly reports: PlatformReport[] = []
  readonly progress: string[] = []
  readonly degraded: (string | null)[] = []
  readonly activity: string[] = []
  readonly child: ChildProcess
  readonly exited: Promise<unknown>
  private readonly waiting = new Map<number, { resolve: (answer: unknown) => void; reject: (error: Error) => void }>()
  private next = 1

  constructor(uid: number | null, execPath = process.execPath) {
    this.child = fork(harness, [], {
      execPath,
      // Something that no session may ever see.
      env: {
        PATH: process.env.PATH,
        HARNESS_LOG: process.env.HARNESS_LOG,
        AGENT_SECRET: 'do-not-leak',
        NODE_COMPILE_CACHE: compileCacheFor(uid),
      },
      ...(uid === null ? {} : { uid, gid: uid }),
    })
    this.exited = once(this.child, 'exit')
    this.child.on('message', (message) => this.receive(message as HarnessMessage))
    this.child.once('exit', () => {
      for (const { reject } of this.waiting.values()) reject(new Error('the agent is gone'))
      this.waiting.clear()
    })
  }

  private receive(message: HarnessMessage): void {
    if ('report' in message) this.reports.push(message.report)
    else if ('progress' in message) this.progress.push(message.progress)
    else if ('degraded' in message) this.degraded.push(message.degraded)
    else if ('activity' in message) this.activity.push(message.activity)
    else {
      const waiting = this.waiting.get(message.id)
      this.waiting.delete(message.id)
      if ('error' in message) waiting?.reject(new Error(message.error))
      else waiting?.resolve(message.answer)
    }
  }

  private ask(request: Command): Promise<unknown> {
    const id = this.next++
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject })
      this.child.send({ ...request, id }, (error) => {
        if (error !== null) reject(error)
      })
    })
  }

  readonly open = (settings: ProcessSettings, dieAt?: string): Promise<unknown> =>
    this.ask({ do: 'open', settings, ...(dieAt === undefined ? {} : { dieAt }) })
  readonly apply = (about: Target): Promise<Applied> => this.ask({ do: 'apply', target: about }) as Promise<Applied>
  readonly dieAt = (step: string): Promise<unknown> => this.ask({ do: 'dieAt', step })
  readonly interrupt = (): Promise<unknown> => this.ask({ do: 'interrupt' })
  readonly suspend = (): Promise<unknown> => this.ask({ do: 'suspend' })
  readonly inventory = (): Promise<readonly InventoryItem[]> =>
    this.ask({ do: 'inventory' }) as Promise<readonly InventoryItem[]>

  readonly inventoryOf = async (sessionId: SessionId): Promise<InventoryItem | undefined> =>
    (await this.inventory()).find((item) => item.sessionId === sessionId)

  /** As a SIGTERM does: sessions go on. */
  async close(): Promise<void> {
    await this.ask({ do: 'close' })
    this.child.disconnect()
    await this.exited
  }

  async kill9(): Promise<void> {
    this.child.kill('SIGKILL')
    await this.exited
  }

  /** The last report of a session, once it is as `check` says. */
  reported(sessionId: SessionId, check: (report: PlatformReport) => boolean, within = 8_000): Promise<PlatformReport> {
    return eventually(
      () => {
        const report = this.reports.findLast((one) => one.sessionId === sessionId && check(one))
        if (report === undefined) throw new Error(`not reported; so far: ${JSON.stringify(this.reports)}`)
        return report
      },
      { within },
    )
  }
}

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
    await made.open({ ...settings, ...more }, dieAt)
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

export const gone = (pid: number, within = 5_000): Promise<void> =>
  eventually(
    async () => {
      if (await isRunning(pid)) throw new Error(`process ${pid} still runs`)
    },
    { within },
  )

/** What a file says, once it says something. */
export const written = (path: string, within = 5_000): Promise<string> =>
  eventually(
    () => {
      const text = readFileSync(path, 'utf8')
      if (text === '') throw new Error(`${path} is empty`)
      return text
    },
    { within },
  )
