/** An agent in a process of its own, told what to do and listened to. */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { chownSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Frame, InventoryItem } from '../../agents/protocol.ts'
import type { Applied, PlatformReport, Target } from '../../agents/runtime/platform.ts'
import type { SessionId } from '../../domain/ids.ts'
import type { HarnessMessage, HarnessRequest, PlatformChoice } from './agent-harness.ts'
import { atEndOfRun } from './end-of-run.ts'
import { eventually, PATIENCE_MS } from './eventually.ts'

const harness = fileURLToPath(new URL('agent-harness.ts', import.meta.url))

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
  /** Those that were passed, in order. */
  readonly steps: string[] = []
  /** At which step it has stopped itself. */
  stopped: string | null = null
  /** It says that another agent has taken over. */
  lost = false
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
    else if ('step' in message) this.steps.push(message.step)
    else if ('stopping' in message) this.stopped = message.stopping
    else if ('lost' in message) this.lost = true
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

  readonly open = (what: PlatformChoice, dieAt?: string): Promise<unknown> =>
    this.ask({ do: 'open', what, ...(dieAt === undefined ? {} : { dieAt }) })
  readonly apply = (about: Target): Promise<Applied> => this.ask({ do: 'apply', target: about }) as Promise<Applied>
  /** As the server asks: through the runtime, which judges the generation first. */
  readonly command = (about: Target): Promise<Frame<'result'>> =>
    this.ask({ do: 'command', target: about }) as Promise<Frame<'result'>>
  readonly stopAt = (step: string): Promise<unknown> => this.ask({ do: 'stopAt', step })
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
  reported(
    sessionId: SessionId,
    check: (report: PlatformReport) => boolean,
    within = PATIENCE_MS,
  ): Promise<PlatformReport> {
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
