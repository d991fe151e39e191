/** The Deployment of a session that runs, made anew from its record: somebody took it away, or scaled it to nothing. */
import { readContainerSpec } from '../container/spec.ts'
import type { Blueprint } from './parts.ts'
import type { SessionRecord } from './record.ts'
import { type Life, type Surroundings, show } from './session-life.ts'
import { changeRecord, makeDeployment, Overtaken, scaleUp, writeRecord } from './writes.ts'

/** `record`: with the restart counted. What else it consists of is as it was. */
export const startAgain = async (around: Surroundings, life: Life, record: SessionRecord): Promise<void> => {
  const read = readContainerSpec(record.desired, around.settings.allowedMounts)
  if (read.kind === 'refused') throw new Error(`its record cannot be started again: ${read.message}`)
  const start = record.start + 1
  const next = { ...record, start, again: start, counted: {} }
  await writeRecord(around, life, next)
  // Told before it is made anew, which takes some requests more.
  show(around, life, { ...life.observed, restarts: next.restarts })
  await around.step('anchored')
  const { anchor, sessionId } = life
  if (anchor === null) throw new Overtaken('the record')
  const { settings } = around
  const { generation, desired } = next
  const blueprint: Blueprint = {
    sessionId,
    settings,
    owner: anchor.seen.uid,
    start: next.start,
    generation,
    desired,
    container: read.spec,
  }
  if (life.deployment === null) await makeDeployment(around, life, blueprint)
  await around.step('deployment_made')
  await scaleUp(around, life, blueprint)
  await around.step('scaled_up')
  await changeRecord(around, life, { again: null })
  await around.step('settled')
}
