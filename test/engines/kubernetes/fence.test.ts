/**
 * Two agents of one id. The older one stops itself (SIGSTOP) at a step of an apply, the newer one works, then the older
 * one goes on: every write of it is refused by the API server, and nothing is changed. All steps side by side.
 */
import { expect } from 'chai'
import { steps } from '../../../agents/kubernetes/session-life.ts'
import { kubernetesCluster, needsKubernetes, START_MS } from '../../support/kubernetes-cluster.ts'
import { aSessionId, target } from '../../support/process-agent.ts'
import { kubernetesPlace } from '../conformance/kubernetes.ts'
import { stoppedOr } from '../conformance/subject.ts'

/** As many agents as two cores start in good time. */
const AT_A_TIME = 4

describe('an agent that goes on after another has worked in its place (Kubernetes)', function () {
  this.timeout(400_000)
  let place: Awaited<ReturnType<typeof kubernetesPlace>>
  before(async function () {
    needsKubernetes.call(this)
    this.timeout(START_MS)
    place = await kubernetesPlace(await kubernetesCluster())
  })
  after(() => place?.close())

  /** Whether the step was passed at all. */
  const tryStep = async (step: string): Promise<boolean> => {
    const id = aSessionId()
    const agentId = `fence-${id.slice(0, 8)}`
    const spec = place.server('echo hello >index.html')
    const picture = async (): Promise<string> => place.pictureOf(id)
    const older = await place.agent({ agentId })
    try {
      await older.stopAt(step)
      const asked = older.apply(target(id, spec, { generation: 2 })).catch(() => null)
      if ((await stoppedOr(older, asked)) === 'done') return false
      const newer = await place.agent({ agentId })
      try {
        const result = await newer.apply(target(id, spec, { generation: 3, incarnation: 2 }))
        expect(result, `${step}: ${JSON.stringify(result)}`).to.include({ kind: 'applied' })
        const before = await picture()
        older.child.kill('SIGCONT')
        await asked
        expect(await picture(), `after ${step}`).to.equal(before)
        expect(await newer.inventoryOf(id)).to.include({ status: 'running', generation: 3, restarts: 0 })
      } finally {
        await newer.kill9()
      }
      return true
    } finally {
      older.child.kill('SIGCONT')
      await older.kill9()
    }
  }

  it('changes nothing, at whichever step of a start it was stopped', async () => {
    const queue = [...steps]
    const tried: string[] = []
    const worker = async (): Promise<void> => {
      for (let step = queue.shift(); step !== undefined; step = queue.shift()) if (await tryStep(step)) tried.push(step)
    }
    await Promise.all(Array.from({ length: AT_A_TIME }, worker))
    console.log(`      kubernetes: stopped at ${tried.length} steps of a start: ${tried.join(', ')}`)
    expect(tried.length).to.be.at.least(2)
  })
})
