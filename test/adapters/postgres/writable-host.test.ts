import { expect } from 'chai'
import { createHosts } from '../../../adapters/postgres/writable-host.ts'
import { eventually } from '../../support/eventually.ts'
import { quickestOf, timed } from '../../support/quickest.ts'

const A = 'postgres://u:secret@a:1/db'
const B = 'postgres://u:secret@b:2/db'
const C = 'postgres://u:secret@c:3/db'

type Behaviour = 'writes' | 'standby' | 'silent'

/** Hosts that behave as they are told, and remember in which order they were asked. */
const hostsThat = (behaviour: Record<string, Behaviour>) => {
  const asked: string[] = []
  const hosts = createHosts(Object.keys(behaviour), async (address) => {
    asked.push(address)
    if (behaviour[address] === 'silent') await new Promise(() => {})
    if (behaviour[address] === 'standby') throw new Error('takes no writes')
  })
  return { hosts, asked, behaviour }
}

describe('the host that takes writes', () => {
  it('is asked alone while it does', async () => {
    const { hosts, asked } = hostsThat({ [A]: 'writes', [B]: 'standby' })
    expect(await hosts.writable()).to.equal(A)
    hosts.forget()
    expect(await hosts.writable()).to.equal(A)
    expect(asked).to.deep.equal([A, A])
  })

  it('is found wherever it is, and is the first to be asked from then on', async () => {
    const { hosts, asked } = hostsThat({ [A]: 'standby', [B]: 'standby', [C]: 'writes' })
    expect(await hosts.writable()).to.equal(C)
    expect(asked).to.deep.equal([A, B, C])
    hosts.forget()
    expect(await hosts.writable()).to.equal(C)
    expect(asked).to.deep.equal([A, B, C, C])
  })

  it('is looked for once by all who want it at the same moment, and anew after it was forgotten', async () => {
    const { hosts, asked, behaviour } = hostsThat({ [A]: 'writes', [B]: 'standby' })
    expect(await Promise.all([1, 2, 3].map(() => hosts.writable()))).to.deep.equal([A, A, A])
    expect(asked).to.deep.equal([A])
    behaviour[A] = 'standby'
    behaviour[B] = 'writes'
    expect(await hosts.writable(), 'the answer of a moment ago').to.equal(A)
    hosts.forget()
    expect(await hosts.writable()).to.equal(B)
    behaviour[A] = 'writes'
    behaviour[B] = 'standby'
    await eventually(async () => expect(await hosts.writable(), 'an answer is good for a second').to.equal(A))
  })

  it('is found at once though the last one swallows what it is asked', async () => {
    await quickestOf(5, 1_500, () => {
      const { hosts } = hostsThat({ [A]: 'silent', [B]: 'writes' })
      return timed(async () => expect(await hosts.writable()).to.equal(B))
    })
  })

  it('when there is none: says why of each host, without a password, and is looked for again at once', async () => {
    const { hosts, behaviour } = hostsThat({ [A]: 'standby', [B]: 'standby' })
    const error = await hosts.writable().catch((thrown: Error & { code?: string }) => thrown)
    expect(error).to.include({
      message: 'no host takes writes: a:1: takes no writes; b:2: takes no writes',
      code: '08001',
    })
    behaviour[B] = 'writes'
    expect(await hosts.writable()).to.equal(B)
  })
})
