/** What the conformance suite has to know of a platform: how to write a program for it, and how to look underneath. */
import type { WireSpec } from '../../../agents/protocol.ts'
import type { SessionId } from '../../../domain/ids.ts'
import type { AgentProcess } from '../../support/agent-process.ts'

export type AgentOptions = {
  /** Ends itself with SIGKILL at this step. */
  readonly dieAt?: string
  readonly agentId?: string
  /** What it kept on its own disk is gone. Not asked of a platform whose sessions are on that disk. */
  readonly emptyDisk?: boolean
}

export type Place = {
  /** A new agent that works on this place, open. */
  readonly agent: (options?: AgentOptions) => Promise<AgentProcess>
  /** Runs a shell script in the session's home. */
  readonly script: (script: string) => Partial<WireSpec>
  /** A shell script first, then a web server on the port `http` that serves the home. */
  readonly server: (script: string) => Partial<WireSpec>
  /** Ends what runs of a session as somebody else would, without asking the agent. */
  readonly removeWorkload: (sessionId: SessionId) => Promise<void>
  /** What a file in a session's home says. */
  readonly homeFile: (sessionId: SessionId, name: string) => Promise<string>
  /** Everything that there is of sessions and agents but what belongs to nobody's session, by names that stay. */
  readonly left: () => Promise<readonly string[]>
  /** All that there is of an agent's sessions, as it is: equal texts when nothing was changed in between. */
  readonly picture: (agentId: string) => Promise<string>
  /** Something that is not ours, whose picture is to stay. */
  readonly bystander: () => Promise<{ readonly isThere: () => Promise<boolean>; readonly remove: () => Promise<void> }>
  readonly close: () => Promise<void>
}

export type PlatformUnderTest = {
  readonly name: string
  /** For `before`: skips where the platform cannot be had. */
  readonly needs: (this: Mocha.Context) => void
  readonly place: () => Promise<Place>
  /** Every named kill point of an apply. */
  readonly steps: readonly string[]
  /** Between two agents of one id: the second is refused, or takes over and the first changes nothing any more. */
  readonly fence: 'refuses' | 'takes_over'
  /** Sessions outlive the agent's own disk. */
  readonly recoversFromNothing: boolean
  /** `statusReason` of a session whose workload somebody removed and that may not be started again. */
  readonly removedReason: string
  /** How often a program is killed for want of memory at most until that is said; absent: it is said the first time. */
  readonly memoryTries?: number
  /** How many crews of agents work side by side; 1 where a place has one agent at a time. */
  readonly atOnce: number
  /** Making its place may take so long. */
  readonly openMs: number
  /** Roughly how long a session takes to start on two cores: what many at once may take. */
  readonly startMs: number
  /** How long anything may take that the platform has to do: an ending and a start, while others do theirs. */
  readonly patienceMs: number
}
