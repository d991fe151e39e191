/** Changes in the middle of which an agent is killed or stopped, and the named steps that each of them passes. */
import { expect } from 'chai'
import type { SessionId } from '../../../domain/ids.ts'
import type { AgentProcess } from '../../support/agent-process.ts'
import { eventually } from '../../support/eventually.ts'
import { aSessionId } from '../../support/process-agent.ts'
import type { Place } from './platform-under-test.ts'
import { applied, type Crew, ended, type Subject, startsOf, wanting } from './subject.ts'

export type Change = {
  readonly name: string
  /** What runs already; null: nothing. */
  readonly runs: ((place: Place) => object) | null
  readonly spec: (place: Place) => object
  readonly rest: { readonly state?: 'hibernated' | 'stopped' | 'deleted'; readonly incarnation?: number }
  /** How often its program has been started when all is done. */
  readonly starts: number
}

export const counted = (place: Place): object => place.server('echo once >>starts; echo hello >index.html')

const failsFirst = (place: Place): object => ({
  ...place.server('echo once >>starts; [ -e tried ] || { : >tried; exit 5; }; echo hello >index.html'),
  restart: { policy: 'on-failure', maxRetries: 3 },
})

const deaf = (place: Place): object => ({
  ...place.script("trap '' TERM; echo once >>starts; while true; do sleep 0.1; done"),
  stopGraceSeconds: 1,
})

export const changes: readonly Change[] = [
  { name: 'a start', runs: null, spec: counted, rest: {}, starts: 1 },
  { name: 'a start that fails at first', runs: null, spec: failsFirst, rest: {}, starts: 2 },
  { name: 'a restart', runs: counted, spec: counted, rest: { incarnation: 1 }, starts: 2 },
  { name: 'a hibernation', runs: counted, spec: counted, rest: { state: 'hibernated' }, starts: 1 },
  { name: 'a stop', runs: counted, spec: counted, rest: { state: 'stopped' }, starts: 1 },
  { name: 'a stop of what does not end', runs: deaf, spec: deaf, rest: { state: 'stopped' }, starts: 1 },
  { name: 'a deletion', runs: counted, spec: counted, rest: { state: 'deleted' }, starts: 1 },
]

/** What runs before the change. What does not end when it is asked to has said that it is deaf by then. */
export const begin = async (place: Place, agent: AgentProcess, { runs }: Change, id: SessionId): Promise<void> => {
  if (runs === null) return
  await applied(agent, id, runs(place))
  if (runs === deaf) await eventually(async () => expect(await startsOf(place, id)).to.equal(1))
}

/** The change, at generation 2. */
export const asked = (place: Place, { spec, rest }: Change, id: SessionId) =>
  wanting(id, spec(place), { generation: 2, ...rest })

/** Each step that the change passes, in order: as it was when nobody disturbed it. */
export const stepsOf = ({ withCrew }: Subject, change: Change): Promise<readonly string[]> =>
  withCrew(async ({ place, agent }) => {
    const id = aSessionId()
    const one = await agent()
    await begin(place, one, change, id)
    const before = one.steps.length
    await one.command(asked(place, change, id))
    const passed = [...new Set(one.steps.slice(before))]
    await ended(one, id, 9)
    return passed
  })

/** Tries a change at each of its steps, side by side where the platform allows it; answers the steps. */
export const atEachStep = async (
  here: Subject,
  change: Change,
  attempt: (crew: Crew, step: string) => Promise<void>,
): Promise<readonly string[]> => {
  const steps = await stepsOf(here, change)
  const outcomes = await Promise.allSettled(steps.map((step) => here.withCrew((crew) => attempt(crew, step))))
  const failures = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason as Error] : []))
  if (failures.length > 1) console.error(failures.slice(1))
  if (failures[0] !== undefined) throw failures[0]
  return steps
}
