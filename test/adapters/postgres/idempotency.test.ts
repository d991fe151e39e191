import { hash, randomBytes } from 'node:crypto'
import { expect } from 'chai'
import { byteaOf, createIdempotencyStore } from '../../../adapters/postgres/idempotency.ts'
import { E } from '../../../domain/fp.ts'
import type { Kept, KeptRequest } from '../../../domain/ports/idempotency.ts'
import { stop } from '../../../domain/session/decide.ts'
import { keptWith } from '../../../src/kept-with.ts'
import type { Answer } from '../../../src/usecases/application.ts'
import {
  ACME,
  aCreation,
  allocatedOn,
  anAgent,
  anIntent,
  aSessionOn,
  GLOBEX,
  nowhere,
  on,
  openStores,
  right,
  type Stores,
  storesOver,
} from '../../support/rows.ts'

const anAnswer = (key: string, changes: Partial<KeptRequest> = {}): KeptRequest => ({
  orgId: ACME,
  caller: 'key:1',
  keyHash: hash('sha256', key, 'hex'),
  fingerprint: randomBytes(32).toString('hex'),
  status: 201,
  location: `/api/v1/sessions/${randomBytes(4).toString('hex')}`,
  body: '{"id":1}',
  ...changes,
})

const keeping = (answer: KeptRequest): Kept => ({ orgId: answer.orgId, answer, audit: null })

describe('the answer that is kept with a change', function () {
  this.timeout(120_000)
  let stores: Stores
  before(async () => {
    stores = await openStores()
  })
  after(() => stores.close())

  const count = async (table: string, where = 'true'): Promise<number> =>
    (await stores.ask(`SELECT count(*) AS n FROM ${table} WHERE ${where}`))[0].n

  it('is one of many that come at once: one session is made, on one place', async () => {
    const peer = await anAgent(stores, { id: 'edge' })
    const before = await count('sessions')
    // As of several replicas: what one gathers another does not know of.
    const replicas = Array.from({ length: 8 }, () => storesOver(stores.database))
    const outcomes = await Promise.all(
      Array.from({ length: 200 }, (_, index) => {
        const decision = aCreation(on(peer.agentId))
        const kept = anAnswer('at once', { location: `/api/v1/sessions/${decision.session.id}` })
        return replicas[index % replicas.length]?.unitOfWork.commit(decision, { kept: keeping(kept) })
      }),
    )
    const tags = outcomes.map((outcome) => (outcome !== undefined && E.isLeft(outcome) ? outcome.left._tag : 'made'))
    expect(tags.filter((tag) => tag === 'made')).to.have.length(1)
    expect(tags.filter((tag) => tag === 'Answered')).to.have.length(199)
    expect(await count('sessions')).to.equal(before + 1)
    expect(await allocatedOn(stores, peer.agentId)).to.deep.equal([1, 500, 512])
    expect(await count('outbox', `agent_id = 'edge'`)).to.equal(1)
  })

  it('is none where there was no room: whoever asks again is not told of a session that is not there', async () => {
    const peer = await anAgent(stores, { id: 'full', capacity: { maxSessions: 0, cpuMillis: 0, memoryMib: 0 } })
    const kept = anAnswer('no room')
    const refused = await stores.unitOfWork.commit(aCreation(on(peer.agentId)), { kept: keeping(kept) })
    expect(refused).to.deep.equal(E.left({ _tag: 'NotReserved', agentId: peer.agentId }))
    expect(await createIdempotencyStore(stores.database).find(ACME, 'key:1', kept.keyHash)).to.equal(null)
    expect(E.isRight(await stores.unitOfWork.commit(aCreation(nowhere), { kept: keeping(kept) }))).to.equal(true)
  })

  it('of several orgs that are written together are each their own', async () => {
    const [ours, theirs] = [anAnswer('the same'), anAnswer('the same', { orgId: GLOBEX })]
    const outcomes = await Promise.all([
      stores.unitOfWork.commit(aCreation(nowhere), { kept: keeping(ours) }),
      stores.unitOfWork.commit(aCreation(nowhere, { orgId: GLOBEX }), { kept: keeping(theirs) }),
    ])
    expect(outcomes.map(E.isRight)).to.deep.equal([true, true])
    const answers = createIdempotencyStore(stores.database)
    expect((await answers.find(ACME, 'key:1', ours.keyHash))?.location).to.equal(ours.location)
    expect((await answers.find(GLOBEX, 'key:1', ours.keyHash))?.location).to.equal(theirs.location)
  })

  it('of an intent is written with it, and once', async () => {
    const peer = await anAgent(stores, { id: 'stopping' })
    const [one, other] = [await aSessionOn(stores, peer.agentId), await aSessionOn(stores, peer.agentId)]
    const kept = anAnswer('stop')
    expect(E.isRight(await stores.unitOfWork.commit(right(stop(one, anIntent())), { kept: keeping(kept) }))).to.equal(
      true,
    )
    expect(await stores.unitOfWork.commit(right(stop(other, anIntent())), { kept: keeping(kept) })).to.deep.equal(
      E.left({ _tag: 'Answered' }),
    )
    const rows = await stores.ask('SELECT id, desired_state FROM sessions WHERE agent_id = $1', peer.agentId)
    expect(Object.fromEntries(rows.map(({ id, desired_state }) => [id, desired_state]))).to.deep.equal({
      [one.id]: 'stopped',
      [other.id]: 'running',
    })
  })

  it('is in the transaction of a use case that has no such statement, and undoes it when it was there', async () => {
    let told = 0
    const cases = keptWith(
      stores.database,
      (within, later) => ({
        add:
          (name: string): Answer<string> =>
          async () => {
            await within.query({ text: 'INSERT INTO orgs (id, name) VALUES ($1, $1)', values: [name] })
            later(() => {
              told += 1
            })
            return name === 'refused' ? E.left({ _tag: 'Contended', what: name }) : E.right(name)
          },
      }),
      'add',
    )
    const kept = anAnswer('an org')
    expect(await cases.add('first', () => keeping(kept))()).to.deep.equal(E.right('first'))
    expect(await cases.add('second', () => keeping(kept))()).to.deep.equal(E.left({ _tag: 'Answered' }))
    expect(await cases.add('refused', () => keeping(anAnswer('another')))()).to.deep.equal(
      E.left({ _tag: 'Contended', what: 'refused' }),
    )
    expect(told).to.equal(1)
    expect(await count('orgs', `id IN ('first', 'second', 'refused')`)).to.equal(1)
  })

  it('is found as it was kept: text as text, what is sealed as bytes, and nothing as nothing', async () => {
    const answers = createIdempotencyStore(stores.database)
    for (const body of ['{"name":"Zoë \\u0000 \\ud800"}', Buffer.from([0, 255, 1]), null]) {
      const kept = anAnswer(`found ${typeof body} ${body?.length}`, { body })
      await answers.keep(kept)
      const { fingerprint, status, location } = kept
      expect(await answers.find(ACME, 'key:1', kept.keyHash)).to.deep.equal({ fingerprint, status, location, body })
    }
  })

  it('of a session is found as it was kept, whatever statement it was written by', async () => {
    const peer = await anAgent(stores, { id: 'as-it-was' })
    const body = '{"name":"Zoë \\u0000 \\ud800 \\\\"}'
    const [created, stopped] = [anAnswer('create', { body }), anAnswer('stop it', { body })]
    expect(E.isRight(await stores.unitOfWork.commit(aCreation(nowhere), { kept: keeping(created) }))).to.equal(true)
    const one = await aSessionOn(stores, peer.agentId)
    expect(
      E.isRight(await stores.unitOfWork.commit(right(stop(one, anIntent())), { kept: keeping(stopped) })),
    ).to.equal(true)
    const answers = createIdempotencyStore(stores.database)
    for (const { keyHash } of [created, stopped])
      expect((await answers.find(ACME, 'key:1', keyHash))?.body).to.equal(body)
  })

  it('is over after a day, and then in nobody’s way', async () => {
    const kept = anAnswer('yesterday')
    const answers = createIdempotencyStore(stores.database)
    expect(await answers.keep(kept)).to.equal(true)
    expect(await answers.keep(kept)).to.equal(false)
    await stores.ask(
      `UPDATE idempotency_keys SET created_at = now() - interval '25 hours' WHERE key_hash = $1`,
      byteaOf(kept.keyHash),
    )
    expect(await answers.find(ACME, 'key:1', kept.keyHash)).to.equal(null)
    expect(await answers.keep(kept)).to.equal(true)
  })
})
