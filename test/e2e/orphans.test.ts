/** What agents have that is nobody's, seen by an operator: shown, kept for its grace, removed as far as the brake allows. */
import { randomUUID } from 'node:crypto'
import { expect } from 'chai'
import { agentsByHand, type Known } from './support/agents-by-hand.ts'
import { eventually } from './support/eventually.ts'
import type { RawAgent } from './support/raw-agent.ts'
import type { Json } from './support/rest.ts'

const somethingUnknown = (count: number): readonly Json[] =>
  Array.from({ length: count }, () => ({ sessionId: randomUUID(), generation: 3, status: 'running' }))
const idsOf = (items: readonly Json[]): readonly string[] => items.map(({ sessionId }) => sessionId).toSorted()

describe('orphans', function () {
  this.timeout(120_000)

  describe('with a grace of an hour', () => {
    const hand = agentsByHand(10_000, { STREAMSPACE_ORPHAN_GRACE_MS: '3600000' })

    it('are shown, and left alone however often the agent has them', async () => {
      const known = await hand.enrolled()
      const agent = await hand.connect(known)
      const items = somethingUnknown(4)
      await agent.begin(items.slice(0, 3))
      await orphansOf(hand.rest, known, items.slice(0, 3))
      for (const [index, item] of items.entries()) {
        agent.inventory(items.filter((one) => one !== item))
        await orphansOf(
          hand.rest,
          known,
          items.filter((one) => one !== item),
          index,
        )
      }
      const { body } = await hand.rest.get(`/agents/${known.id}/orphans`)
      expect(body.items[0]).to.include({ reason: 'unknown', state: 'seen', generation: 3, agentId: known.id })
      expect(agent.commands()).to.deep.equal([])
    })
  })

  describe('with a grace of a moment', () => {
    const hand = agentsByHand(10_000, { STREAMSPACE_ORPHAN_GRACE_MS: '100' })

    /** Has these, and sends them again and again, as an agent does, until the condition holds. */
    const repeating = async <A>(agent: RawAgent, items: readonly Json[], until: () => Promise<A>): Promise<A> =>
      eventually(async () => {
        agent.inventory(items)
        return until()
      })

    /**
     * The same, one inventory after the other: none that has the orphan is on its way when this is over, and none can
     * be written down after the removal is, as if the orphan were there again.
     */
    const untilRemoval = async (known: Known, agent: RawAgent, items: readonly Json[], orphan: Json): Promise<Json> => {
      const lastSeen = async (): Promise<string | undefined> =>
        (await hand.rest.all(`/agents/${known.id}/orphans`)).find(({ sessionId }) => sessionId === orphan.sessionId)
          ?.lastSeenAt
      return eventually(
        async () => {
          const before = await lastSeen()
          agent.inventory(items)
          await eventually(async () => expect(await lastSeen()).not.to.equal(before))
          expect(removals(agent)).to.have.length(1)
          return removals(agent)[0]
        },
        { within: 20_000 },
      )
    }

    it('are removed after a second inventory, and then are no more', async () => {
      const known = await hand.enrolled()
      const agent = await hand.connect(known)
      const [unknown] = somethingUnknown(1)
      const own = await ownSessions(known, agent, 1)
      agent.inventory([...own, unknown])
      await orphansOf(hand.rest, known, [unknown])
      expect(removals(agent)).to.deep.equal([])
      const removal = await untilRemoval(known, agent, [...own, unknown], unknown)
      expect(removal).to.deep.include({ sessionId: unknown.sessionId, generation: 4 })
      expect(removal.desired.state).to.equal('deleted')
      agent.ack(removal)
      agent.result(removal, { outcome: 'applied' })
      await eventually(async () => {
        const { body } = await hand.rest.get(`/agents/${known.id}/orphans?state=removed`)
        expect(idsOf(body.items)).to.deep.equal([unknown.sessionId])
      })
      await orphansOf(hand.rest, known, [])
      expect(agent.of('error')).to.deep.equal([])
      expect(await eventsOf(known)).to.deep.equal(['orphans_seen', 'orphan_removal_begun', 'orphans_removed'])
    })

    it('of another agent’s session are removed, and that session runs on', async () => {
      const theirs = await hand.online()
      const session = await hand.runningOn(theirs)
      const known = await hand.enrolled()
      const agent = await hand.connect(known)
      const own = await ownSessions(known, agent, 1)
      const copy = { sessionId: session.id, generation: 1, status: 'running' }
      const removal = await untilRemoval(known, agent, [...own, copy], copy)
      agent.ack(removal)
      agent.result(removal, { outcome: 'applied' })
      await orphansOf(hand.rest, known, [])
      expect(await hand.rest.session(session.id)).to.deep.include({ status: 'running', agentId: theirs.id })
      expect((await hand.commandsOf(session.id)).map(({ agentId }) => agentId)).to.deep.equal([theirs.id])
      const { body } = await hand.rest.get(`/sessions/${session.id}/events`)
      expect(body.items.map(({ type }: Json) => type)).to.deep.equal(['created', 'running'])
      expect(removals(theirs.agent)).to.deep.equal([])
    })

    it('twenty of twenty stop the brake, which says so, until an operator approves', async () => {
      const known = await hand.enrolled()
      const agent = await hand.connect(known)
      const items = somethingUnknown(20)
      await agent.begin(items)
      const held = await repeating(agent, items, async () => {
        const { body } = await hand.rest.get(`/agents/${known.id}`)
        expect(body.statusReason).to.be.a('string')
        return body
      })
      expect(held).to.include({ status: 'online' })
      expect(held.statusReason).to.match(/20 to remove, and at most 10 of the 20/)
      expect(removals(agent)).to.deep.equal([])

      const stranger = randomUUID()
      const approve = (body?: object) => hand.rest.post(`/agents/${known.id}/orphans/approve`, body)
      expect((await approve({ sessionIds: [items[0].sessionId, stranger] })).status).to.equal(404)
      expect((await approve({ sessionIds: [] })).status).to.equal(400)
      expect((await approve({ everything: true })).status).to.equal(400)
      expect(await approve({ sessionIds: [items[0].sessionId] })).to.deep.include({
        status: 202,
        body: { approved: 1 },
      })
      await eventually(() => expect(idsOf(removals(agent))).to.deep.equal([items[0].sessionId]))
      expect(await approve()).to.deep.include({ status: 202, body: { approved: 19 } })
      await eventually(() => expect(idsOf(removals(agent))).to.deep.equal(idsOf(items)))
      for (const removal of removals(agent)) {
        agent.ack(removal)
        agent.result(removal, { outcome: 'applied' })
      }
      await orphansOf(hand.rest, known, [])
      expect((await hand.rest.get(`/agents/${known.id}`)).body.statusReason).to.equal(null)
      expect(await eventsOf(known)).to.include.members(['orphan_removal_held', 'orphans_approved', 'orphans_removed'])
    })

    it('of a database that was restored are removed nowhere, until an operator says so', async () => {
      const ahead = await sharedAgent('ahead')
      const first = await hand.connect(ahead)
      const [lost] = somethingUnknown(1)
      const welcome = await first.begin([lost], { lastEpoch: 41 })
      expect(welcome.epoch).to.equal(42)
      expect((await hand.rest.get('/orphan-removal')).body).to.include({ halted: true, haltedBy: ahead.id })

      const known = await hand.enrolled()
      const agent = await hand.connect(known)
      const [one, another] = somethingUnknown(2)
      const own = await ownSessions(known, agent, 3)
      agent.inventory([...own, one])
      await repeating(agent, [...own, one], async () => {
        const { body } = await hand.rest.get(`/agents/${known.id}`)
        expect(body.statusReason).to.match(/no orphan is removed anywhere/)
      })
      expect(removals(agent)).to.deep.equal([])

      await hand.rest.post(`/agents/${known.id}/orphans/approve`)
      await eventually(() => expect(idsOf(removals(agent))).to.deep.equal([one.sessionId]))
      expect((await hand.rest.post('/orphan-removal/resume')).body).to.include({ halted: false })
      await repeating(agent, [...own, another], async () =>
        expect(idsOf(removals(agent))).to.deep.equal(idsOf([one, another])),
      )
      // All that this one has is one: never more than half of it goes by itself.
      expect(removals(first)).to.deep.equal([])
    })

    it('are removed from other orgs’ agents all the same when one org’s own agent says that the database was restored', async () => {
      expect((await hand.rest.post('/orgs', { id: 'liars' })).status).to.equal(201)
      const inLiars = { 'Streamspace-Org': 'liars' }
      const { token } = (await hand.rest.post('/agents', { id: 'liar', platform: 'process' }, inLiars)).body
      const why = async () => (await hand.rest.get('/agents/liar', inLiars)).body.statusReason
      const liar = await hand.connect({ id: 'liar', token })
      await liar.begin([], { lastEpoch: 41 })
      const { body } = await hand.rest.get('/orphan-removal')
      expect(body).to.include({ halted: false, haltedOrgs: 1 })
      expect(body.orgs[0]).to.include({ orgId: 'liars', haltedBy: 'liar' })

      const known = await hand.enrolled()
      const agent = await hand.connect(known)
      const [one] = somethingUnknown(1)
      const own = await ownSessions(known, agent, 1)
      await repeating(agent, [...own, one], async () => expect(idsOf(removals(agent))).to.deep.equal([one.sessionId]))

      const [theirs, more] = somethingUnknown(2)
      await repeating(liar, [theirs, more], async () => expect(await why()).to.match(/from any own agent of this org/))
      expect(removals(liar)).to.deep.equal([])
      const resumed = await hand.rest.post('/orgs/liars/orphan-removal/resume')
      expect(resumed.body).to.include({ orgId: 'liars', halted: false })
      await repeating(liar, [theirs, more], async () =>
        expect(await why()).to.match(/2 to remove, and at most 1 of the 2/),
      )
      expect((await hand.rest.get('/orphan-removal')).body).to.deep.include({ haltedOrgs: 0, orgs: [] })
    })

    it('are nobody’s to see or to approve but operators’', async () => {
      const { body: shared } = await hand.rest.post('/agents', { id: 'shared-1', platform: 'process', orgId: null })
      expect(shared.token).to.be.a('string')
      expect((await hand.rest.get('/agents/shared-1/orphans')).status).to.equal(200)
      for (const path of ['/agents/no-such/orphans', '/agents/no-such/events'])
        expect((await hand.rest.get(path)).status, path).to.equal(404)
      expect((await hand.rest.post('/agents/no-such/orphans/approve')).status).to.equal(404)
      expect((await hand.rest.get('/agents/shared-1/orphans?state=lost')).status).to.equal(400)
    })

    const removals = (agent: RawAgent): readonly Json[] =>
      agent.commands().filter(({ command }) => command === 'delete_session')

    const sharedAgent = async (id: string): Promise<Known> => {
      const { status, body } = await hand.rest.post('/agents', { id, platform: 'process', orgId: null })
      expect(status).to.equal(201)
      return { id, token: body.token }
    }

    const eventsOf = async ({ id }: Known): Promise<readonly string[]> =>
      (await hand.rest.all(`/agents/${id}/events`)).map(({ type }) => type)

    /** Sessions that an agent has as it should; it says hello here. */
    const ownSessions = async ({ id }: Known, agent: RawAgent, count: number): Promise<readonly Json[]> => {
      await agent.begin()
      const own: Json[] = []
      for (let n = 0; n < count; n += 1) {
        const session = await hand.runningOn({ id, agent })
        own.push({ sessionId: session.id, generation: session.generation, status: 'running' })
      }
      return own
    }
  })
})

/** The orphans that are there now are just these. */
const orphansOf = (
  api: { readonly all: (path: string) => Promise<Json[]> },
  { id }: Known,
  items: readonly Json[],
  round = 0,
): Promise<void> =>
  eventually(async () => {
    expect(idsOf(await api.all(`/agents/${id}/orphans?limit=2`)), `round ${round}`).to.deep.equal(idsOf(items))
  })
