/**
 * A process agent without a server: the process platform in a process of its own, told what to do over the
 * channel to its parent. For tests that end an agent with kill -9, or run one as another user.
 */
import { createProcessPlatform } from '../../agents/process/platform.ts'
import type { ProcessSettings } from '../../agents/process/settings.ts'
import type { PlatformReport, Target } from '../../agents/runtime/platform.ts'

export type HarnessRequest = { readonly id: number } & (
  | { readonly do: 'open'; readonly settings: ProcessSettings; readonly dieAt?: string }
  | { readonly do: 'apply'; readonly target: Target }
  | { readonly do: 'dieAt'; readonly step: string }
  | { readonly do: 'interrupt' | 'inventory' | 'close' | 'suspend' }
)

export type HarnessMessage =
  | { readonly id: number; readonly answer: unknown }
  | { readonly id: number; readonly error: string }
  | { readonly report: PlatformReport }
  | { readonly progress: string }
  | { readonly degraded: string | null }
  | { readonly activity: string }

const send = (message: HarnessMessage): void => {
  process.send?.(message)
}
const quiet = (): void => {}
const loud =
  (level: string) =>
  (details: object, message: string): void =>
    console.error(level, message, JSON.stringify(details))
const verbose = process.env.HARNESS_LOG === '1'
const log = {
  debug: quiet,
  info: verbose ? loud('info') : quiet,
  warn: verbose ? loud('warn') : quiet,
  error: verbose ? loud('error') : quiet,
}

let dieAt: string | null = null
let platform: ReturnType<typeof createProcessPlatform> | null = null
let interrupt = new AbortController()

const step = async (name: string): Promise<void> => {
  if (name !== dieAt) return
  process.kill(process.pid, 'SIGKILL')
  await new Promise(() => {})
}

const obey = async (request: HarnessRequest): Promise<unknown> => {
  switch (request.do) {
    case 'open':
      dieAt = request.dieAt ?? null
      platform = createProcessPlatform(request.settings, log, { step })
      return platform.open({
        report: (report) => send({ report }),
        activity: (sessionId) => send({ activity: sessionId }),
        degraded: (degraded) => send({ degraded }),
      })
    case 'dieAt':
      dieAt = request.step
      return null
    case 'apply':
      interrupt = new AbortController()
      return platform?.apply(request.target, {
        signal: interrupt.signal,
        progress: (reason, message) => send({ progress: `${reason}: ${message}` }),
      })
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
