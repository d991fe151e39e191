/** A session that should run, from whatever there is of it. */
import type { Exit } from '../runtime/exit.ts'
import { settledAs } from '../runtime/observed.ts'
import type { Applied, ApplyContext, Target } from '../runtime/platform.ts'
import { bringUp } from './bring-up.ts'
import { type Life, runningNow, type Surroundings, save, settle, startingNow } from './session-life.ts'
import { discard } from './take-down.ts'
import type { Terminated } from './terminate.ts'
import { adopt } from './workload.ts'

export const makeRunning = async (
  around: Surroundings,
  life: Life,
  target: Target,
  context: ApplyContext,
): Promise<Applied> => {
  const { generation, desired } = target
  const plan = await planFor(around, life, target)
  switch (plan.kind) {
    case 'as_it_is':
      return {
        kind: 'applied',
        observed: await settle(life, runningNow(life, around.settings.advertiseHost), { generation, desired }),
      }
    case 'anew': {
      life.observed = startingNow(life, 'starting', 'starting')
      // Nothing of a new session can run, and what was meant has just been written.
      if (life.record.run === null && life.record.generation === generation && !life.record.settled) break
      const change = { generation, desired, settled: false, phase: 'down', restarts: 0, retries: 0 } as const
      const ended = await discard(around, life, change, { signal: context.signal })
      if (ended.kind !== 'gone') return notGone(ended)
      break
    }
    case 'go_on':
      await save(life, { generation, desired, settled: false })
  }
  const brought = await bringUp(around, life, {
    signal: context.signal,
    patience: 'whole',
    progress: (reason, message) => {
      life.observed = startingNow(life, reason, message)
      context.progress(reason, message)
    },
    ...(plan.kind === 'go_on' && plan.exit !== null ? { exit: plan.exit } : {}),
  })
  if (brought === 'interrupted') return { kind: 'interrupted' }
  return settledAs(life.observed)
}

type Plan =
  /** It runs and is ready: only the generation is new. */
  | { readonly kind: 'as_it_is' }
  /** It was begun for this very thing and is not finished; `exit`: it has ended since. */
  | { readonly kind: 'go_on'; readonly exit: Exit | null }
  /** Whatever is there has to go first. */
  | { readonly kind: 'anew' }

const planFor = async (around: Surroundings, life: Life, { generation, desired }: Target): Promise<Plan> => {
  const { run: last, generation: begun, settled } = life.record
  if (last === null || last.discarded || last.incarnation !== desired.incarnation) return { kind: 'anew' }
  await life.workload?.check()
  if (life.workload !== null && !life.workload.hasEnded())
    return last.readyAt === null ? { kind: 'go_on', exit: null } : { kind: 'as_it_is' }
  if (settled || begun !== generation || life.record.phase !== 'up') return { kind: 'anew' }
  if (life.workload !== null) return { kind: 'go_on', exit: await life.workload.ended }
  const found = await adopt(around.host, life.files, last)
  // It ran for this generation already, while nobody looked: once is enough.
  return found.kind === 'ended' ? { kind: 'go_on', exit: found.exit } : { kind: 'anew' }
}

export const notGone = (ended: Exclude<Terminated, { kind: 'gone' }>): Applied =>
  ended.kind === 'interrupted'
    ? { kind: 'interrupted' }
    : {
        kind: 'failed',
        code: 'platform_error',
        message: `processes of the session cannot be ended: ${ended.pids.join(', ')}`,
        retryable: true,
      }
