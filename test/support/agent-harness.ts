/**
 * An agent without a server: a platform in a process of its own, told what to do over the channel to its parent. For tests
 * that end an agent with kill -9, stop it with SIGSTOP, or run one as another user.
 */
import { randomUUID } from 'node:crypto'
import type { DockerSettings } from '../../agents/docker/settings.ts'
import type { KubernetesSettings } from '../../agents/kubernetes/settings.ts'
import type { ProcessSettings } from '../../agents/process/settings.ts'
import type { Frame } from '../../agents/protocol.ts'
import type { Log } from '../../agents/runtime/log.ts'
import type { Platform, PlatformReport, Target } from '../../agents/runtime/platform.ts'
import { createSessionExecutor, type SessionExecutor } from '../../agents/runtime/session-executor.ts'
import type { CommandId } from '../../domain/ids.ts'

export type PlatformChoice =
  | { readonly platform: 'process'; readonly settings: ProcessSettings }
  | { readonly platform: 'docker'; readonly settings: DockerSettings }
  | { readonly platform: 'kubernetes'; readonly settings: KubernetesSettings }

export type HarnessRequest = { readonly id: number } & (
  | { readonly do: 'open'; readonly what: PlatformChoice; readonly dieAt?: string }
  /** `apply`: the platform is asked. `command`: the runtime is, which judges generations and asks the platform. */
  | { readonly do: 'apply' | 'command'; readonly target: Target }
  /** The agent ends itself with SIGKILL, or stops itself with SIGSTOP, at this step. */
  | { readonly do: 'dieAt' | 'stopAt'; readonly step: string }
  | { readonly do: 'interrupt' | 'inventory' | 'close' | 'suspend' }
)

export type HarnessMessage =
  | { readonly id: number; readonly answer: unknown }
  | { readonly id: number; readonly error: string }
  | { readonly report: PlatformReport }
  | { readonly progress: string }
  | { readonly degraded: string | null }
  | { readonly activity: string }
  | { readonly step: string }
  | { readonly stopping: string }
  | { readonly lost: true }

const send = (message: HarnessMessage): void => {
  process.send?.(message)
}
const quiet = (): void => {}
const loud =
  (level: string) =>
  (details: object, message: string): void =>
    console.error(level, message, JSON.stringify(details))
const verbose = process.env.HARNESS_LOG === '1'
const log: Log = {
  debug: quiet,
  info: verbose ? loud('info') : quiet,
  warn: verbose ? loud('warn') : quiet,
  error: verbose ? loud('error') : quiet,
}

let dieAt: string | null = null
let stopAt: string | null = null
let platform: Platform | null = null
let executor: SessionExecutor | null = null
const results = new Map<string, (result: Frame<'result'>) => void>()
let interrupt = new AbortController()

const step = async (name: string): Promise<void> => {
  send({ step: name })
  if (name === dieAt) {
    process.kill(process.pid, 'SIGKILL')
    await new Promise(() => {})
  }
  if (name === stopAt) {
    stopAt = null
    await new Promise<void>((resolve) => process.send?.({ stopping: name }, () => resolve()))
    process.kill(process.pid, 'SIGSTOP')
    // The signal takes effect a moment after it was sent: nothing may be done until then.
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

const lost = (): void => send({ lost: true })

/** Only the one that is wanted is loaded. */
const create = async (what: PlatformChoice): Promise<Platform> => {
  switch (what.platform) {
    case 'process': {
      const { createProcessPlatform } = await import('../../agents/process/platform.ts')
      return createProcessPlatform(what.settings, log, { step })
    }
    case 'docker': {
      const { createDockerPlatform } = await import('../../agents/docker/platform.ts')
      return createDockerPlatform(what.settings, log, { step, lost })
    }
    case 'kubernetes': {
      const { createKubernetesPlatform } = await import('../../agents/kubernetes/platform.ts')
      return createKubernetesPlatform(what.settings, log, { step })
    }
  }
}

const runtimeOf = (made: Platform): SessionExecutor =>
  createSessionExecutor({
    platform: made,
    parallel: 16,
    log,
    report: (frame) => {
      if (frame.type === 'result') results.get(frame.commandId)?.(frame)
      else if (frame.type === 'status') send({ progress: `${frame.reason}: ${frame.message}` })
    },
  })

const command = ({ sessionId, generation, desired }: Target): Promise<Frame<'result'>> => {
  const commandId = randomUUID() as CommandId
  const words = { running: 'start', stopped: 'stop', hibernated: 'hibernate', deleted: 'delete' } as const
  return new Promise((resolve) => {
    results.set(commandId, resolve)
    executor?.accept(
      {
        type: 'command',
        commandId,
        command: `${words[desired.state]}_session`,
        sessionId,
        generation,
        attempt: 1,
        expiresAt: null,
        desired,
      },
      null,
    )
  })
}

const obey = async (request: HarnessRequest): Promise<unknown> => {
  switch (request.do) {
    case 'open':
      dieAt = request.dieAt ?? null
      platform = await create(request.what)
      executor = runtimeOf(platform)
      return platform.open({
        report: (report) => send({ report }),
        activity: (sessionId) => send({ activity: sessionId }),
        degraded: (degraded) => send({ degraded }),
      })
    case 'dieAt':
      dieAt = request.step
      return null
    case 'stopAt':
      stopAt = request.step
      return null
    case 'apply':
      interrupt = new AbortController()
      return platform?.apply(request.target, {
        signal: interrupt.signal,
        progress: (reason, message) => send({ progress: `${reason}: ${message}` }),
      })
    case 'command':
      return command(request.target)
    case 'interrupt':
      return interrupt.abort()
    case 'inventory':
      return platform?.inventory()
    case 'close':
      return platform?.close()
    case 'suspend':
      return platform?.suspend()
  }
}

process.on('message', (request: HarnessRequest) => {
  obey(request).then(
    (answer) => send({ id: request.id, answer: answer ?? null }),
    (error: unknown) => send({ id: request.id, error: error instanceof Error ? error.message : String(error) }),
  )
})
// The test is gone: so is this. Its sessions are ended by whoever reads the state directory, or not at all.
process.on('disconnect', () => process.exit(0))
