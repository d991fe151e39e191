/**
 * The agent protocol from outside, by agents that lie or are not wanted any more: against real servers, two of them
 * where it matters which one an agent is connected to.
 */

import { expect } from 'chai'
import pg from 'pg'
import { quickestOf, timed } from '../../support/quickest.ts'
import { agentsByHand, running } from '../support/agents-by-hand.ts'
import { eventually } from '../support/eventually.ts'
import { connect, type RawAgent, upgrade } from '../support/raw-agent.ts'
import type { Json } from '../support/rest.ts'
import { scene } from '../support/scene.ts'
import { enrol, migratedDatabase, type Server, server } from '../support/streamspace.ts'

const STRANGER = '01900000-0000-7000-8000-000000000000'

describe('an agent on one server and its operator on another', function () {
  this.timeout(120_000)
  const here = scene('suite')
  let [one, other]: Server[] = []
  let databaseUrl: string

  before(async () => {
    databaseUrl = await migratedDatabase(here)
    // The usual heartbeats: it must not depend on the agent's next one.
    one = await server(here, databaseUrl)
    other = await server(here, databaseUrl)
  })

  const held = async (id: string): Promise<{ readonly agent: RawAgent; readonly token: string }> => {
    const token = await enrol(one!.rest, id)
    const agent = await connect(here, one!.url, { id, token })
    await agent.begin()
    return { agent, token }
  }

  for (const [what, path, method] of [
    ['revoked by rotating it', '/token', 'POST'],
    ['gone with its agent', '', 'DELETE'],
  ] as const)
    it(`a token that is ${what} closes the socket within five seconds, with 4004`, async () => {
      const name = method === 'POST' ? 'rotated' : 'removed'
      const stays = await held(`${name}-neighbour`)
      let tries = 0
      await quickestOf(3, 5_000, async () => {
        tries += 1
        const id = `${name}-${tries}`
        const { agent, token } = await held(id)
        const answer = await other!.rest.ask(method, `/agents/${id}${path}`)
        expect(answer.status).to.be.oneOf([200, 204])
        const took = await timed(async () => expect((await agent.closed()).code).to.equal(4004))
        expect((await upgrade(one!.url, { token })).status).to.equal(401)
        return took
      })
      expect(stays.agent.isOpen()).to.equal(true)
    })

  it('a connection to another server closes the older one, though its agent says nothing more', async () => {
    const { agent, token } = await held('moves')
    const newer = await connect(here, other!.url, { id: 'moves', token })
    await newer.begin()
    expect((await agent.closed(10_000)).code).to.equal(4003)
    expect(newer.isOpen()).to.equal(true)
    await eventually(async () => {
      const client = new pg.Client({ connectionString: databaseUrl })
      await client.connect()
      const { rows } = await client.query(
        `SELECT replica_id IS NOT NULL AS held FROM agent_leases WHERE agent_id = 'moves'`,
      )
      await client.end()
      expect(rows).to.deep.equal([{ held: true }])
    })
  })
})

describe('what no agent may say', function () {
  this.timeout(120_000)
  const hand = agentsByHand()
  const { online, runningOn, commandsOf } = hand

  const refused = async (agent: RawAgent, frame: object, code: string): Promise<void> => {
    const before = agent.of('error').length
    agent.send(frame)
    expect(await agent.next('error', before + 1), JSON.stringify(frame)).to.include({ code })
  }
  const rowsOf = async (sessionId: string): Promise<Json> => {
    const { body } = await hand.rest.get(`/sessions/${sessionId}`)
    const { updatedAt: _, ...session } = body
    return { session, commands: await commandsOf(sessionId) }
  }

  it('numbers that cannot be: negative, fractional, endless or of another type', async () => {
    const known = await online()
    const session = await runningOn(known)
    const before = await rowsOf(session.id)
    const status = { type: 'status', sessionId: session.id, generation: 1, status: 'running' }
    // Each agent may be wrong nineteen times a minute.
    for (const wrong of [
      { ...status, generation: -1 },
      { ...status, generation: 1.5 },
      { ...status, generation: 1e300 },
      { ...status, generation: '1' },
      { ...status, restarts: -1 },
      { ...status, exitCode: 1e10 },
      { ...status, endpoint: { url: 'http://h/', host: 'h', port: -1, protocol: 'http' } },
      { ...status, endpoint: { url: 'javascript:alert(1)', host: 'h', port: 1, protocol: 'http' } },
      { ...status, at: '+999999-01-01T00:00:00Z' },
      { type: 'heartbeat', at: new Date().toISOString(), activeSessions: -5, inventoryHash: 'a'.repeat(64) },
      {
        type: 'heartbeat',
        at: new Date().toISOString(),
        activeSessions: 1,
        inventoryHash: 'a'.repeat(64),
        capacity: { maxSessions: -1, cpuMillis: 1, memoryMib: 1 },
      },
      { type: 'activity', sessionId: session.id, lastActivityAt: 'tomorrow' },
      { type: 'ack', commandIds: Array(10_001).fill(STRANGER) },
    ])
      await refused(known.agent, wrong, 'bad_message')
    expect(await rowsOf(session.id)).to.deep.equal(before)
    expect((await hand.rest.get(`/agents/${known.id}`)).body.capacity).to.deep.include({ maxSessions: 100 })
    expect(known.agent.isOpen()).to.equal(true)
  })

  it('a command that does not exist, or is not its own, is done by nobody', async () => {
    const [mine, theirs] = [await online(), await online()]
    const session = await hand.sessionOn(theirs.id)
    const command = await theirs.agent.command(1)
    mine.agent.ack(command)
    mine.agent.result(command, running)
    expect(await mine.agent.next('error')).to.include({ code: 'not_yours' })
    mine.agent.send({ type: 'ack', commandIds: [STRANGER] })
    mine.agent.result({ commandId: STRANGER, sessionId: STRANGER, generation: 1 }, running)
    expect(await mine.agent.next('error', 2)).to.include({ code: 'not_yours' })
    // Its own session under somebody else's command, and a command of its own that never was.
    const own = await runningOn(mine)
    mine.agent.result({ commandId: command.commandId, sessionId: own.id, generation: 1 }, { outcome: 'rejected' })
    mine.agent.result({ commandId: STRANGER, sessionId: own.id, generation: 1 }, running)
    mine.agent.send({ type: 'dance' })
    await mine.agent.next('error', 3)
    expect((await commandsOf(session.id)).map(({ status }) => status)).to.deep.equal(['pending'])
    expect(await hand.rest.session(session.id)).to.include({ status: 'scheduling' })
    theirs.agent.ack(command)
    theirs.agent.result(command, running)
    await hand.rest.until(session.id, 'running')
  })

  it('times of the future move nothing into it', async () => {
    const known = await online()
    const { id } = await runningOn(known)
    const future = new Date(Date.now() + 86_400_000 * 365).toISOString()
    known.agent.send({ type: 'activity', sessionId: id, lastActivityAt: future })
    known.agent.send({
      type: 'status',
      sessionId: id,
      generation: 1,
      status: 'running',
      message: 'from afar',
      at: future,
    })
    await eventually(async () => {
      const session = await hand.rest.session(id)
      expect(session.statusMessage).to.equal('from afar')
      for (const time of ['lastActivityAt', 'updatedAt', 'startedAt'] as const)
        expect(Date.parse(session[time]), time).to.be.at.most(Date.now() + 1_000)
    })
  })

  it('results twice, and in the wrong order: the newest intent is what stands', async () => {
    const known = await online()
    const session = await runningOn(known)
    const first = await known.agent.command(1)
    await hand.rest.post(`/sessions/${session.id}/stop`)
    const stop = await known.agent.command(2)
    await hand.rest.post(`/sessions/${session.id}/start`)
    const start = await known.agent.command(3)
    const stopped = { outcome: 'applied', observed: { status: 'stopped' } }
    for (const [command, result] of [
      [start, running],
      [stop, stopped],
      [first, { outcome: 'failed', error: { code: 'late', message: 'late', retryable: false } }],
      [stop, stopped],
      [start, running],
      [start, { outcome: 'rejected', error: { code: 'no', message: 'no', retryable: false } }],
    ] as const)
      known.agent.result(command, result)
    known.agent.send({ type: 'dance' })
    await known.agent.next('error')
    const after = await hand.rest.until(session.id, 'running')
    expect(after).to.include({ generation: 3, observedGeneration: 3, desiredState: 'running' })
    await eventually(async () =>
      expect((await commandsOf(session.id)).map(({ status }) => status).toSorted()).to.deep.equal([
        'done',
        'done',
        'superseded',
      ]),
    )
  })
})
