/** What can be set of the process agent, its defaults, and how the environment says it. */
import { E } from '../../domain/fp.ts'
import { type Backoff, HEALTHY_AFTER_MS, RESTART_BACKOFF } from '../../domain/template/restart.ts'
import { type Environment, given, settingReader } from '../runtime/setting-reader.ts'

export type UidRange = { readonly first: number; readonly last: number }

export type ProcessSettings = {
  /** Everything this agent keeps: records, homes, output. One agent at a time. */
  readonly stateDir: string
  /** Where sessions are told to listen (`HOST`, only when it is not this machine alone), and where they are probed. */
  readonly bindHost?: string
  /** The host in `endpoint.url`. */
  readonly advertiseHost?: string
  readonly maxSessions?: number
  readonly cpuMillis?: number
  readonly memoryMib?: number
  /** Sessions of several orgs under one user, when the agent is not root: they can read each other's homes. */
  readonly allowSharedWithoutIsolation?: boolean
  /** As root, each session gets a uid (and a gid of the same number) of its own from here. */
  readonly uidRange?: UidRange
  /** As root, where homes go when the state directory cannot be reached by any other user. */
  readonly outsideHomesDir?: string
  /** How often the processes are looked at. */
  readonly pollMs?: number
  /** Waiting before a restart: doubled from `baseMs` each time, at most `capMs`. */
  readonly backoff?: Backoff
  /** After this long without trouble earlier restarts no longer count. */
  readonly healthyAfterMs?: number
  /** Each of the two output files of a session holds at most about this much. */
  readonly outputLimitBytes?: number
  /** How often it is looked who is connected to a session. */
  readonly activityMs?: number
  /** Restarts that run side by side after the agent has come back. */
  readonly parallelRestarts?: number
  /** As root, the claims on uids that agents of one machine share. */
  readonly uidClaimsDir?: string
}

export const defaults = {
  bindHost: '127.0.0.1',
  advertiseHost: '127.0.0.1',
  uidRange: { first: 200_000, last: 265_535 },
  outsideHomesDir: '/var/lib/streamspace',
  uidClaimsDir: '/var/run/streamspace/uids',
  pollMs: 500,
  // For idle times of minutes.
  activityMs: 10_000,
  backoff: RESTART_BACKOFF,
  healthyAfterMs: HEALTHY_AFTER_MS,
  outputLimitBytes: 4 * 1024 * 1024,
  parallelRestarts: 4,
} as const

/** `STREAMSPACE_PROCESS_*` and its like; each wrong one is named. */
export const processSettingsFrom = (
  environment: Environment,
  stateDir: string,
): E.Either<readonly string[], ProcessSettings> => {
  const { wrong, read, wholeNumber, yesOrNo, host } = settingReader(environment)
  const said = {
    bindHost: host('STREAMSPACE_PROCESS_BIND_HOST'),
    advertiseHost: host('STREAMSPACE_PROCESS_ADVERTISE_HOST'),
    maxSessions: wholeNumber('STREAMSPACE_MAX_SESSIONS'),
    cpuMillis: wholeNumber('STREAMSPACE_CPU_MILLIS'),
    memoryMib: wholeNumber('STREAMSPACE_MEMORY_MIB'),
    allowSharedWithoutIsolation: yesOrNo('STREAMSPACE_ALLOW_SHARED_PROCESS_AGENT'),
    uidRange: read('STREAMSPACE_PROCESS_UIDS', uidRange, 'a range such as 200000-265535, above 1000'),
  }
  return wrong.length > 0 ? E.left(wrong) : E.right({ stateDir, ...given(said) })
}

const uidRange = (text: string): UidRange | undefined => {
  const [, first = '', last = ''] = /^(\d{1,10})-(\d{1,10})$/.exec(text) ?? []
  const range = { first: Number(first), last: Number(last) }
  return first !== '' && range.first >= 1_000 && range.last >= range.first && range.last < 2_147_483_647
    ? range
    : undefined
}
