/** The process agent: the process platform behind the agent runtime. Who calls this has read the settings. */
import { type AgentSettings, type RunningAgent, startAgent } from '../runtime/agent.ts'
import type { Log } from '../runtime/log.ts'
import { createProcessPlatform } from './platform.ts'
import type { ProcessSettings } from './settings.ts'

export type ProcessAgentSettings = { readonly agent: AgentSettings; readonly process: ProcessSettings }

/**
 * Resolves when the sessions of earlier runs are taken over; connecting goes on from then. Throws when another
 * agent works on the same state directory, or sessions could not be separated from each other here.
 */
export const runProcessAgent = (settings: ProcessAgentSettings, log: Log): Promise<RunningAgent> =>
  startAgent(settings.agent, createProcessPlatform(settings.process, log), log)
