import { expect } from 'chai'
import { E } from '../../../domain/fp.ts'
import { placePending, remove, restart, stop, update } from '../../../domain/session/decide.ts'
import { unchanged } from '../../../domain/session/decision.ts'
import { holding, letGo, lockWaits } from '../../support/locks.ts'
import {
  ACME,
  aCreation,
  allocatedOn,
  anAgent,
  anIntent,
  aSessionOn,
  commandsOf,
  commit,
  enrolled,
  nowhere,
  on,
  openStores,
  overheard,
  PLENTY,
  right,
  type Stores,
  storesOver,
  TTL_MS,
  theSession,
} from '../../support/rows.ts'

describe('the unit of work', () => {
  let stores: Stores
  before(async () => {
    stores = await openStores()
  })
  afterEach(letGo)
  after(() => stores.close())

  const rowsOf = async (sessionId: string) => {
    const [row] = await stores.ask(
      `SELECT (SELECT count(*) FROM sessions WHERE id = $1) AS sessions,
              (SELECT count(*) FROM session_events WHERE session_id = $1) AS events,
              (SELECT count(*) FROM outbox WHERE session_id = $1) AS commands`,
      sessionId,
    )
    return row
  }
  const nothing = { sessions: 0, events: 0, commands: 0 }

  /** The same stores, and the statements that went through them. */
  const counted = () => {
    const statements: string[] = []
    const database = overheard(stores.database, ({ text }) => statements.push(text))
    return { statements, unitOfWork: storesOver(database).unitOfWork }
  }

  describe('of a new session', () => {
    it('is one statement with the session, its event, its command and its capacity', async () => {
      const { agentId } = await anAgent(stores, { id: 'one-statement' })
      const { statements, unitOfWork } = counted()
      const decision = aCreation(on(agentId), { labels: { team: 'blue' }, env: { A: '1' } })
      expect(await unitOfWork.commit(decision)).to.deep.equal(E.right(undefined))
      expect(statements).to.have.length(1)
      expect(await rowsOf(decision.session.id)).to.deep.equal({ sessions: 1, events: 1, commands: 1 })
      expect(await allocatedOn(stores, agentId)).to.deep.equal([1, 500, 512])
    })

    it('is one statement with others that are wanted at the same moment, and each gets its own answer', async () => {
      const { agentId } = await anAgent(stores, { id: 'together', capacity: { ...PLENTY, maxSessions: 2 } })
      const other = await anAgent(stores, { id: 'together-too' })
      const { statements, unitOfWork } = counted()
      const decisions = [
        aCreation(on(agentId), { name: 'first' }),
        aCreation(nowhere, { name: 'waits' }),
        aCreation(on(agentId), { name: 'second' }),
        aCreation(on(agentId), { name: 'one too many' }),
        aCreation(on(other.agentId), { name: 'elsewhere' }),
      ]
      const answers = await Promise.all(decisions.map((decision) => unitOfWork.commit(decision)))
      expect(answers.map((answer) => (E.isLeft(answer) ? answer.left : 'committed'))).to.deep.equal([
        'committed',
        'committed',
        'committed',
        { _tag: 'NotReserved', agentId },
        'committed',
      ])
      expect(statements).to.have.length(1)
      expect(await rowsOf(decisions[3]?.session.id ?? '')).to.deep.equal(nothing)
      expect(await rowsOf(decisions[1]?.session.id ?? '')).to.deep.equal({ sessions: 1, events: 1, commands: 0 })
      expect(await allocatedOn(stores, agentId)).to.deep.equal([2, 1_000, 1_024])
      expect(await allocatedOn(stores, other.agentId)).to.deep.equal([1, 500, 512])
    })

    it('does not wait for another whose agent’s row somebody holds', async () => {
      const [mine, theirs] = [await anAgent(stores, { id: 'goes-on' }), await anAgent(stores, { id: 'is-held' })]
      const row = await holding(stores.url, ['SELECT FROM agents WHERE id = $1 FOR UPDATE', theirs.agentId])
      const waits = stores.unitOfWork.commit(aCreation(on(theirs.agentId)))
      await lockWaits(stores.ask, 1)
      expect(await stores.unitOfWork.commit(aCreation(on(mine.agentId)))).to.deep.equal(E.right(undefined))
      await row.release()
      expect(await waits).to.deep.equal(E.right(undefined))
    })

    it('does not wait for four others whose agents’ rows are held, however many more want those', async () => {
      const peers = await Promise.all([1, 2, 3, 4].map((n) => anAgent(stores, { id: `is-held-${n}` })))
      const free = await anAgent(stores, { id: 'is-free' })
      const row = await holding(stores.url, [
        'SELECT FROM agents WHERE id = ANY($1::text[]) FOR UPDATE',
        peers.map(({ agentId }) => agentId),
      ])
      const wait: Promise<unknown>[] = []
      for (const [index, { agentId }] of peers.entries()) {
        wait.push(stores.unitOfWork.commit(aCreation(on(agentId))))
        await lockWaits(stores.ask, index + 1)
      }
      for (const { agentId } of peers) wait.push(stores.unitOfWork.commit(aCreation(on(agentId))))
      for (let nth = 0; nth < 3; nth++)
        expect(await stores.unitOfWork.commit(aCreation(on(free.agentId)))).to.deep.equal(E.right(undefined))
      await lockWaits(stores.ask, 4)
      await row.release()
      expect(await Promise.all(wait)).to.deep.equal(wait.map(() => E.right(undefined)))
    })

    it('goes in without another that cannot be written, which alone is told so', async () => {
      const { agentId } = await anAgent(stores, { id: 'poisoned' })
      const fine = aCreation(on(agentId))
      const poisoned = aCreation(on(agentId), { name: 'nobody can write a \0' })
      const [one, other] = await Promise.allSettled([
        stores.unitOfWork.commit(fine),
        stores.unitOfWork.commit(poisoned),
      ])
      expect(one).to.deep.equal({ status: 'fulfilled', value: E.right(undefined) })
      expect(other?.status).to.equal('rejected')
      expect(await rowsOf(poisoned.session.id)).to.deep.equal(nothing)
      expect(await allocatedOn(stores, agentId)).to.deep.equal([1, 500, 512])
    })

    it('does not go in twice: the second of one id is a conflict, and what came with it goes in', async () => {
      const { agentId } = await anAgent(stores, { id: 'twice' })
      const known = aCreation(on(agentId))
      await commit(stores, known)
      const fine = aCreation(on(agentId))
      const answers = await Promise.all([stores.unitOfWork.commit(known), stores.unitOfWork.commit(fine)])
      expect(answers).to.deep.equal([E.left({ _tag: 'Conflict' }), E.right(undefined)])
      expect(await allocatedOn(stores, agentId)).to.deep.equal([2, 1_000, 1_024])
    })

    it('reads back as it was decided', async () => {
      const { agentId } = await anAgent(stores, { id: 'reads-back' })
      const decision = aCreation(on(agentId), {
        labels: { team: 'blue' },
        env: { A: "it's" },
        parameters: { size: 3, secret: null },
        idleTimeoutSeconds: 60,
        maxDurationSeconds: 3_600,
        persistentHome: false,
        name: 'ünï "quoted"',
      })
      await commit(stores, decision)
      expect(await theSession(stores, decision.session.id)).to.deep.equal(decision.session)
      const [command] = await commandsOf(stores, decision.session.id)
      expect(command).to.deep.include({
        command_id: decision.command?.commandId,
        org_id: ACME,
        agent_id: agentId,
        generation: 1,
        type: 'start_session',
        payload: { state: 'running', incarnation: 0 },
        status: 'pending',
        attempts: 0,
        next_attempt_at: null,
        acked_epoch: null,
      })
      const [event] = await stores.ask('SELECT * FROM session_events WHERE session_id = $1', decision.session.id)
      expect(event).to.deep.include({
        org_id: ACME,
        type: 'created',
        generation: 1,
        actor: 'user:anna',
        data: decision.events[0]?.data,
      })
    })

    it('without a place has no command and takes no capacity', async () => {
      const session = await commit(stores, aCreation(nowhere))
      expect(await rowsOf(session.id)).to.deep.equal({ sessions: 1, events: 1, commands: 0 })
      expect((await theSession(stores, session.id)).reservedOn).to.equal(null)
    })

    it('leaves nothing when its id is taken', async () => {
      const { agentId } = await anAgent(stores, { id: 'taken' })
      const first = await aSessionOn(stores, agentId)
      const again = aCreation(on(agentId), { id: first.id })
      expect(await stores.unitOfWork.commit(again)).to.deep.equal(E.left({ _tag: 'Conflict' }))
      expect(await rowsOf(first.id)).to.deep.equal({ sessions: 1, events: 1, commands: 1 })
      expect((await allocatedOn(stores, agentId))[0]).to.equal(1)
    })

    const refusals = {
      'has no session left': { capacity: { ...PLENTY, maxSessions: 0 }, after: '' },
      'has too little processor left': { capacity: { ...PLENTY, cpuMillis: 499 }, after: '' },
      'has too little memory left': { capacity: { ...PLENTY, memoryMib: 511 }, after: '' },
      'is cordoned': { capacity: PLENTY, after: 'UPDATE agents SET cordoned = true WHERE id = $1' },
      'is gone': { capacity: PLENTY, after: 'DELETE FROM agents WHERE id = $1' },
    }
    for (const [refusal, { capacity, after }] of Object.entries(refusals))
      it(`leaves nothing when its agent ${refusal}`, async () => {
        const { agentId } = await anAgent(stores, { id: refusal.replaceAll(' ', '-'), capacity })
        if (after !== '') await stores.ask(after, agentId)
        const decision = aCreation(on(agentId))
        expect(await stores.unitOfWork.commit(decision)).to.deep.equal(E.left({ _tag: 'NotReserved', agentId }))
        expect(await rowsOf(decision.session.id)).to.deep.equal(nothing)
      })

    it('leaves nothing when its agent has never connected', async () => {
      const agentId = await enrolled(stores, { id: 'never-connected' })
      const decision = aCreation(on(agentId))
      expect(await stores.unitOfWork.commit(decision)).to.deep.equal(E.left({ _tag: 'NotReserved', agentId }))
      expect(await rowsOf(decision.session.id)).to.deep.equal(nothing)
    })
  })

  describe('of a changed session', () => {
    it('is one statement with the row, its event, its command and what that supersedes', async () => {
      const { agentId } = await anAgent(stores, { id: 'changed' })
      const session = await aSessionOn(stores, agentId)
      const { statements, unitOfWork } = counted()
      const decision = right(stop(session, anIntent()))
      expect(await unitOfWork.commit(decision)).to.deep.equal(E.right(undefined))
      expect(statements).to.have.length(1)
      expect(await theSession(stores, session.id)).to.deep.equal(decision.session)
      const commands = await commandsOf(stores, session.id)
      expect(commands.map((row) => [row.generation, row.type, row.status])).to.deep.equal([
        [1, 'start_session', 'superseded'],
        [2, 'stop_session', 'pending'],
      ])
      expect(commands[0].finished_at).to.be.an.instanceOf(Date)
      expect(await rowsOf(session.id)).to.deep.equal({ sessions: 1, events: 2, commands: 2 })
    })

    it('that changes nothing is no statement at all', async () => {
      const session = await commit(stores, aCreation(nowhere))
      const { statements, unitOfWork } = counted()
      expect(await unitOfWork.commit(unchanged(session))).to.deep.equal(E.right(undefined))
      expect(statements).to.deep.equal([])
    })

    it('leaves nothing when someone else was faster', async () => {
      const { agentId } = await anAgent(stores, { id: 'faster' })
      const session = await aSessionOn(stores, agentId)
      const renamed = await commit(stores, update(session, { name: 'renamed' }, anIntent()))
      const late = await stores.unitOfWork.commit(right(stop(session, anIntent())))
      expect(late).to.deep.equal(E.left({ _tag: 'Conflict' }))
      expect(await theSession(stores, session.id)).to.deep.equal(renamed)
      expect(await rowsOf(session.id)).to.deep.equal({ sessions: 1, events: 2, commands: 1 })
      expect((await commandsOf(stores, session.id))[0].status).to.equal('pending')
    })

    it('gives one of many who decide on the same row the right of way', async () => {
      const { agentId } = await anAgent(stores, { id: 'one-wins' })
      const session = await aSessionOn(stores, agentId)
      const answers = await Promise.all(
        Array.from({ length: 20 }, () => stores.unitOfWork.commit(right(stop(session, anIntent())))),
      )
      expect(answers.filter(E.isRight)).to.have.length(1)
      expect(await rowsOf(session.id)).to.deep.equal({ sessions: 1, events: 2, commands: 2 })
    })

    it('supersedes only what is pending, and only of this session', async () => {
      const { agentId } = await anAgent(stores, { id: 'supersedes' })
      const [session, other] = await Promise.all([aSessionOn(stores, agentId), aSessionOn(stores, agentId)])
      await stores.ask(`UPDATE outbox SET status = 'done' WHERE session_id = $1`, session.id)
      const stopped = await commit(stores, right(stop(session, anIntent())))
      await commit(stores, right(remove(stopped, anIntent())))
      expect((await commandsOf(stores, session.id)).map((row) => row.status)).to.deep.equal([
        'done',
        'superseded',
        'pending',
      ])
      expect((await commandsOf(stores, other.id)).map((row) => row.status)).to.deep.equal(['pending'])
    })

    it('places a waiting session in the same statement that takes the capacity', async () => {
      const { agentId } = await anAgent(stores, { id: 'places', capacity: { ...PLENTY, maxSessions: 1 } })
      const first = await commit(stores, aCreation(nowhere))
      const second = await commit(stores, aCreation(nowhere))
      await commit(stores, placePending(first, on(agentId), anIntent()))
      expect(await theSession(stores, first.id)).to.deep.include({ status: 'scheduling', agentId, reservedOn: agentId })
      const refused = await stores.unitOfWork.commit(placePending(second, on(agentId), anIntent()))
      expect(refused).to.deep.equal(E.left({ _tag: 'NotReserved', agentId }))
      expect(await rowsOf(second.id)).to.deep.equal({ sessions: 1, events: 1, commands: 0 })
      expect((await allocatedOn(stores, agentId))[0]).to.equal(1)
    })

    it('gives a reservation back with everything else when the row turns out to be changed', async () => {
      const { agentId } = await anAgent(stores, { id: 'gives-back' })
      const session = await commit(stores, aCreation(nowhere))
      await commit(stores, update(session, { name: 'renamed' }, anIntent()))
      const late = await stores.unitOfWork.commit(placePending(session, on(agentId), anIntent()))
      expect(late).to.deep.equal(E.left({ _tag: 'Conflict' }))
      expect(await allocatedOn(stores, agentId)).to.deep.equal([0, 0, 0])
      expect(await rowsOf(session.id)).to.deep.equal({ sessions: 1, events: 2, commands: 0 })
    })

    it('takes no capacity twice when what holds some is started again', async () => {
      const { agentId } = await anAgent(stores, { id: 'not-twice' })
      const session = await aSessionOn(stores, agentId)
      const running = { ...session, status: 'running' as const }
      await commit(stores, right(restart(running, on(agentId), anIntent())))
      expect(await allocatedOn(stores, agentId)).to.deep.equal([1, 500, 512])
    })

    it('keeps the order of several events', async () => {
      const session = await commit(stores, aCreation(nowhere))
      await commit(stores, right(remove(session, anIntent())))
      const events = await stores.ask('SELECT type FROM session_events WHERE session_id = $1 ORDER BY id', session.id)
      expect(events.map((row) => row.type)).to.deep.equal(['created', 'delete_requested', 'deleted'])
    })
  })

  describe('expiry of commands', () => {
    const expiries = async (id: string) =>
      (await commandsOf(stores, id as never)).map((row) => [
        row.type,
        row.expires_at === null ? null : row.expires_at - row.created_at,
      ])

    it('is set for starts and wakes and never for what ends something', async () => {
      const { agentId } = await anAgent(stores, { id: 'expiry' })
      const session = await aSessionOn(stores, agentId)
      const stopped = await commit(stores, right(stop(session, anIntent())))
      await commit(stores, right(remove(stopped, anIntent())))
      expect(await expiries(session.id)).to.deep.equal([
        ['start_session', TTL_MS],
        ['stop_session', null],
        ['delete_session', null],
      ])
    })
  })

  describe('secrets', () => {
    it('are sealed at rest and nowhere else, and joined into the command that is due', async () => {
      const peer = await anAgent(stores, { id: 'secrets' })
      const secret = 'correct horse battery staple'
      const decision = aCreation(on(peer.agentId), { parameters: { password: null } })
      await commit(stores, decision, { PASSWORD: secret })
      await commit(stores, update(decision.session, { name: 'renamed' }, anIntent()))

      for (const table of ['sessions', 'session_events', 'outbox']) {
        const rows = await stores.ask(`SELECT ${table}::text AS whole FROM ${table}`)
        expect(rows.length).to.be.greaterThan(0)
        const hex = Buffer.from(secret).toString('hex')
        for (const { whole } of rows) expect(whole).not.to.match(new RegExp(`${secret}|${hex}|PASSWORD`, 'u'))
      }
      const [command] = await stores.due(peer, 10, [])
      expect(command?.desired.spec.env).to.deep.equal({ PASSWORD: secret })
    })

    it('are not kept when there are none', async () => {
      const { session } = aCreation(nowhere)
      await commit(stores, aCreation(nowhere, { id: session.id }), {})
      const [row] = await stores.ask('SELECT secrets FROM sessions WHERE id = $1', session.id)
      expect(row.secrets).to.equal(null)
    })
  })
})
