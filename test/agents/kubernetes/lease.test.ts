/** A lease when answers are lost on the way. How it goes from one replica to another is tested on a real API server. */
import type { KubernetesObject, V1Lease } from '@kubernetes/client-node'
import { expect } from 'chai'
import { ApiError } from '../../../agents/kubernetes/api.ts'
import { holdLease, type Tenure } from '../../../agents/kubernetes/lease.ts'
import { type Objects, type Seen, seenOf } from '../../../agents/kubernetes/objects-client.ts'
import { eventually } from '../../support/eventually.ts'

const quiet = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }
/** Never too old, however long this process has to wait for its turn: that is tested on a real API server. */
const times = { durationMs: 60_000, renewMs: 20, giveUpMs: 45_000 }

/** One lease as an API server keeps it; `lose` lets the answer to the next write be lost. */
const server = () => {
  let there: V1Lease | null = null
  let version = 0
  let loses = false
  let writes = 0
  const put = (object: KubernetesObject): never => {
    version += 1
    there = { ...object, metadata: { name: 'one', uid: 'u', resourceVersion: String(version) } } as V1Lease
    if (loses) {
      loses = false
      throw new ApiError('no answer', 0, '')
    }
    writes += 1
    return there as never
  }
  const objects = {
    get: async () => {
      if (there === null) throw new ApiError('not found', 404, 'NotFound')
      return there as never
    },
    create: async (_: unknown, object: KubernetesObject) => put(object),
    apply: async (_: unknown, object: KubernetesObject, seen: Seen) => {
      if (there === null || seenOf(there).resourceVersion !== seen.resourceVersion)
        throw new ApiError('the object has been modified', 409, 'Conflict')
      return put(object)
    },
  } as unknown as Objects
  return {
    objects,
    lose: () => {
      loses = true
    },
    isLost: () => !loses,
    writes: () => writes,
    holder: () => there?.spec?.holderIdentity,
    edit: (change: Partial<V1Lease['spec']>) => {
      version += 1
      const metadata = { ...there?.metadata, resourceVersion: String(version) }
      there = { ...there, metadata, spec: { ...there?.spec, ...change } }
    },
    remove: () => {
      there = null
    },
  }
}

describe('the lease of a replica', () => {
  const held = async (api: ReturnType<typeof server>) => {
    const tenure = await holdLease(
      api.objects,
      { name: 'one', holder: 'me' },
      new AbortController().signal,
      quiet,
      times,
    )
    let lost: string | null = null
    void tenure?.lost.then((why) => {
      lost = why
    })
    return { tenure: tenure as Tenure, lost: () => lost }
  }

  it('is kept when the answer to a renewal was lost on the way, or somebody has edited it', async () => {
    const api = server()
    const { tenure, lost } = await held(api)
    for (const disturb of [() => api.lose(), () => api.edit({ leaseTransitions: 7 }), () => api.lose()]) {
      disturb()
      await eventually(() => expect(api.isLost()).to.equal(true))
      const before = api.writes()
      await eventually(() => expect(api.writes()).to.be.greaterThan(before + 2))
    }
    expect(lost()).to.equal(null)
    expect(api.holder()).to.equal('me')
    await tenure.release()
    expect(api.holder()).to.equal('')
  })

  it('is given back though the answer to the last renewal was lost', async () => {
    const api = server()
    const { tenure } = await held(api)
    api.lose()
    await eventually(() => expect(api.isLost()).to.equal(true))
    await tenure.release()
    expect(api.holder()).to.equal('')
  })

  it('is lost to another that has taken it, and not taken from that one when this one ends', async () => {
    const api = server()
    const { tenure, lost } = await held(api)
    api.edit({ holderIdentity: 'another' })
    await eventually(() => expect(lost()).to.equal('another replica has taken the lease'))
    await tenure.release()
    expect(api.holder()).to.equal('another')
  })

  it('is lost when somebody deletes it', async () => {
    const api = server()
    const { tenure, lost } = await held(api)
    api.remove()
    await eventually(() => expect(lost()).to.equal('somebody has deleted the lease'))
    await tenure.release()
  })
})
