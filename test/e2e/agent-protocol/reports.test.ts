/**
 * The agent protocol from outside: a client that was written from its document alone, against a real server.
 * What it says is what any agent of anyone may say. Here: what agents say of sessions, in statuses and inventories.
 */
import { expect } from 'chai'
import { agentsByHand, running } from '../support/agents-by-hand.ts'
import { eventually } from '../support/eventually.ts'
import { endpoint } from '../support/raw-agent.ts'
import type { Json } from '../support/rest.ts'

const STRANGER = '01900000-0000-7000-8000-000000000000'

describe('what agents say of sessions, by hand', function () {
  this.timeout(120_000)
  const hand = agentsByHand()
  const { enrolled, online, sessionOn, commandsOf, runningOn } = hand

  describe('what an agent says of sessions', () => {
    it('of another agent is not taken from it', async () => {
      const mine = await online()
      const theirs = await online()
      const session = await runningOn(theirs)
      mine.agent.status({ sessionId: session.id, generation: 1 }, { status: 'failed', reason: 'exited_early' })
      expect(await mine.agent.next('error')).to.include({ code: 'not_yours' })
      mine.agent.status({ sessionId: STRANGER, generation: 1 }, { status: 'running' })
      expect(await mine.agent.next('error', 2)).to.include({ code: 'not_yours' })
      mine.agent.send({ type: 'activity', sessionId: session.id, lastActivityAt: new Date().toISOString() })
      expect(await mine.agent.next('error', 3)).to.include({ code: 'not_yours' })
      expect(await hand.rest.session(session.id)).to.include({ status: 'running' })
      expect(mine.agent.isOpen()).to.equal(true)
    })

    it('of a generation that nobody asked for is refused; of an earlier one it says nothing', async () => {
      const known = await online()
      const { id } = await runningOn(known)
      known.agent.status({ sessionId: id, generation: 2 }, { status: 'stopped' })
      expect(await known.agent.next('error')).to.include({ code: 'unexpected_generation' })
      expect(await hand.rest.session(id)).to.include({ status: 'running', generation: 1 })

      await hand.rest.post(`/sessions/${id}/restart`)
      const command = await known.agent.command(2)
      known.agent.status({ sessionId: id, generation: 1 }, { status: 'failed', reason: 'exited_early' })
      known.agent.ack(command)
      known.agent.result(command, running)
      const after = await hand.rest.until(id, 'running')
      expect(after).to.include({ observedGeneration: 2 })
      const { body } = await hand.rest.get(`/sessions/${id}/events`)
      expect(body.items.map(({ type }: Json) => type)).not.to.include('failed')
    })

    it('by itself: it ended, with code, signal and what it wrote', async () => {
      const known = await online()
      const { id } = await runningOn(known)
      known.agent.status(
        { sessionId: id, generation: 1 },
        {
          status: 'failed',
          reason: 'out_of_memory',
          message: 'too much',
          exitCode: null,
          exitSignal: 'SIGKILL',
          lastOutput: 'a\u0000b',
        },
      )
      const failed = await hand.rest.until(id, 'failed')
      expect(failed).to.include({
        statusReason: 'out_of_memory',
        exitSignal: 'SIGKILL',
        endpoint: null,
        desiredState: 'running',
      })
      expect(failed.lastOutput, 'what PostgreSQL cannot hold is replaced').to.equal('a\ufffdb')
    })

    it('in an inventory after a connect: what runs is taken over, and its command is done', async () => {
      const known = await enrolled()
      const first = await hand.connect(known)
      await first.begin()
      const session = await sessionOn(known.id)
      first.ack(await first.command())
      // It was done, and the word of it was lost with the socket.
      first.cut()
      const second = await hand.connect(known)
      await second.begin([{ sessionId: session.id, generation: 1, status: 'running', endpoint }])
      expect(await hand.rest.until(session.id, 'running')).to.deep.include({ endpoint, observedGeneration: 1 })
      await eventually(async () => expect((await commandsOf(session.id))[0]).to.include({ status: 'done' }))
    })

    it('or leaves out of it: what ran and never restarts was removed from outside', async () => {
      const known = await online()
      const { id } = await runningOn(known)
      known.agent.cut()
      const again = await hand.connect(known)
      await again.begin([])
      const failed = await hand.rest.until(id, 'failed')
      expect(failed).to.include({ statusReason: 'removed_outside', endpoint: null })
      const { body } = await hand.rest.get(`/agents/${known.id}`)
      expect(body.allocated.sessions).to.equal(0)
    })

    it('or leaves out of it: what ran and restarts is started again, at a generation of its own', async () => {
      const known = await online()
      const session = await hand.rest.create({ template: 'hello-web', agentId: known.id })
      const command = await known.agent.command()
      known.agent.ack(command)
      known.agent.result(command, running)
      await hand.rest.until(session.id, 'running')
      known.agent.cut()
      const again = await hand.connect(known)
      await again.begin([])
      const repair = await again.command()
      expect(repair).to.include({ command: 'start_session', sessionId: session.id, generation: 2 })
      again.ack(repair)
      again.result(repair, running)
      expect(await hand.rest.until(session.id, 'running')).to.include({ generation: 2, observedGeneration: 2 })
      const { body } = await hand.rest.get(`/sessions/${session.id}/events`)
      expect(body.items.map(({ actor }: Json) => actor)).to.include('reconciler')
    })

    it('at a lower generation than was asked for: it gets the newest command again', async () => {
      const known = await online()
      const { id } = await runningOn(known)
      await hand.rest.post(`/sessions/${id}/stop`)
      const stop = await known.agent.command(2)
      known.agent.ack(stop)
      known.agent.cut()
      const again = await hand.connect(known)
      await again.begin([{ sessionId: id, generation: 1, status: 'running', endpoint }])
      const resent = await again.command()
      expect(resent).to.include({ commandId: stop.commandId, generation: 2, command: 'stop_session' })
      again.ack(resent)
      again.result(resent, { outcome: 'applied', observed: { status: 'stopped' } })
      await hand.rest.until(id, 'stopped')
    })

    it('that the database has never heard of: it is left alone for its grace', async () => {
      const known = await enrolled()
      const agent = await hand.connect(known)
      await agent.begin([{ sessionId: STRANGER, generation: 3, status: 'running' }])
      const next = await runningOn({ ...known, agent })
      expect(agent.commands().map(({ sessionId }) => sessionId)).to.deep.equal([next.id])
    })

    it('of one that was deleted while it was away: it is told to delete it', async () => {
      const known = await online()
      const { id } = await runningOn(known)
      known.agent.cut()
      expect((await hand.rest.ask('DELETE', `/sessions/${id}?force=true`)).status).to.equal(202)
      expect((await hand.rest.get(`/sessions/${id}`)).status).to.equal(404)
      const again = await hand.connect(known)
      await again.begin([{ sessionId: id, generation: 1, status: 'running', endpoint }])
      const command = await again.command()
      expect(command).to.include({ command: 'delete_session', sessionId: id })
      again.ack(command)
      again.result(command, { outcome: 'applied' })
      await eventually(async () =>
        expect((await hand.rest.get(`/agents/${known.id}`)).body.allocated.sessions).to.equal(0),
      )
    })
  })
})
