/** Agents with the real runtime, and control planes for them, that end with the test that made them. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type AgentSettings, type RunningAgent, startAgent } from '../../agents/runtime/agent.ts'
import type { Log } from '../../agents/runtime/log.ts'
import type { Platform } from '../../agents/runtime/platform.ts'
import { type ControlPlane, type ControlPlaneSettings, startControlPlane } from './control-plane.ts'

export type LogLine = { readonly level: keyof Log; readonly details: object; readonly message: string }

export const collectingLog = (): { readonly log: Log; readonly lines: readonly LogLine[] } => {
  const lines: LogLine[] = []
  const at =
    (level: keyof Log) =>
    (details: object, message: string): void => {
      lines.push({ level, details, message })
    }
  return { log: { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }, lines }
}

export const TOKEN = 'ssa_thisisatokenthatmustnotbeinanylog'

export type AgentUnderTest = RunningAgent & { readonly lines: readonly LogLine[] }

export type AgentsUnderTest = {
  readonly directory: () => Promise<string>
  readonly plane: (settings?: ControlPlaneSettings) => Promise<ControlPlane>
  readonly agent: (
    plane: Pick<ControlPlane, 'url'>,
    platform: Platform,
    settings?: Partial<AgentSettings>,
  ) => Promise<AgentUnderTest>
}

/** Call it inside `describe`. Agents reconnect within milliseconds unless told otherwise. */
export const agentsUnderTest = (): AgentsUnderTest => {
  const endings: (() => Promise<void>)[] = []

  afterEach(async () => {
    for (const end of endings.splice(0).reverse()) await end()
  })

  const directory = async (): Promise<string> => {
    const path = await mkdtemp(join(tmpdir(), 'streamspace-test-'))
    endings.push(() => rm(path, { recursive: true, force: true }))
    return path
  }

  return {
    directory,
    plane: async (settings) => {
      const plane = await startControlPlane(settings)
      endings.push(plane.stop)
      return plane
    },
    agent: async (plane, platform, settings = {}) => {
      const stateDir = settings.stateDir ?? (await directory())
      const { log, lines } = collectingLog()
      const quick = { reconnectBaseMs: 5, reconnectCapMs: 50 }
      const identity = { url: plane.url, agentId: 'edge-1', token: TOKEN, version: '2.0.0' }
      const agent = await startAgent({ ...identity, ...quick, ...settings, stateDir }, platform, log)
      endings.push(() => agent.stop('leave'))
      return { ...agent, lines }
    },
  }
}
