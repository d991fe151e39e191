/** Workloads that somebody renamed while no agent was there to see it. */
import type { Engine, Listed } from './engine.ts'
import { isWorkloadName, label, sessionOf, workloadName } from './names.ts'
import { unlessSilent } from './silent.ts'

/** Of the agent's container and of the anchor, by their ids. A copy of a workload was made without them. */
const isMadeHere = (volumesFrom: readonly string[]): boolean =>
  volumesFrom.length === 2 && volumesFrom.every((ref) => /^[0-9a-f]{64}$/.test(ref))

/** By id, how they are to be called. */
export const hiddenWorkloads = async (
  engine: Pick<Engine, 'inspect' | 'ping'>,
  token: string,
  found: readonly Listed[],
): Promise<ReadonlyMap<string, string>> => {
  const names = new Map<string, string>()
  for (const { id, name, labels } of found) {
    const known = sessionOf(labels)
    if (known === null || labels[label.role] !== 'workload') continue
    if (isWorkloadName(name, known.sessionId, known.generation)) continue
    const inspected = await unlessSilent(engine, engine.inspect(id), null)
    if (inspected !== null && isMadeHere(inspected.volumesFrom))
      names.set(id, workloadName(token, known.sessionId, known.generation))
  }
  return names
}
