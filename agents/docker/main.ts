/** The Docker agent: the Docker platform behind the agent runtime. Who calls this has read the settings. */
import { type AgentSettings, type RunningAgent, startAgent } from '../runtime/agent.ts'
import type { Log } from '../runtime/log.ts'
import { createDockerPlatform } from './platform.ts'
import type { DockerSettings } from './settings.ts'

export type DockerAgentSettings = { readonly agent: AgentSettings; readonly docker: DockerSettings }

/** Resolves when the engine's sessions are taken over, or when it is known why they cannot be yet. `lost`: another agent of this id has taken over. */
export const runDockerAgent = (settings: DockerAgentSettings, log: Log, lost: () => void): Promise<RunningAgent> =>
  startAgent(settings.agent, createDockerPlatform(settings.docker, log, { lost }), log)
