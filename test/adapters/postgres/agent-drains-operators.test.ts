/** An operator's word on the command by which a drain puts a session to rest: sent again, or taken back. */
import { expect } from 'chai'
import { cancel, redrive } from '../../../domain/outbox/intervene.ts'
import { arrive } from '../../../domain/session/move.ts'
import { undeliverable } from '../../../domain/session/observe.ts'
import type { Session } from '../../../domain/session/session.ts'
import { draining } from '../../support/draining.ts'
import { acme, anIntent, commandIdOf, commit, on, right, theSession, timeouts } from '../../support/rows.ts'

describe('an operator’s word on the command of a drain', function () {
  this.timeout(120_000)
  const scene = draining()
  const { says, run, moves, figures, consistent, leavingHere } = scene

  /** An operator's word on the command that puts it to rest. */
  const intervene = async (act: typeof redrive | typeof cancel, { id }: Session): Promise<Session> => {
    const command = await scene.stores.commands.get(acme, await commandIdOf(scene.stores, id))
    if (command === null) return expect.fail('no command')
    const operation = { actor: 'user:olga', at: new Date(), timeouts }
    right(await scene.stores.commands.change(right(act(await theSession(scene.stores, id), command, operation))))
    return theSession(scene.stores, id)
  }
  const dead = ({ id }: Session) =>
    scene.stores.ask(
      `UPDATE outbox SET status = 'dead', finished_at = now() WHERE session_id = $1 AND type = 'hibernate_session'`,
      id,
    )
  const givenUp = async (session: Session): Promise<void> => {
    await dead(session)
    const by = { actor: 'delivery', at: new Date() }
    await commit(scene.stores, undeliverable(session, session.generation, 'delivery_failed', 'no ack', by))
  }
  const staysHere = async ({ id }: Session): Promise<void> => {
    expect(await figures()).to.deep.equal([0, 0, 0])
    const before = await theSession(scene.stores, id)
    expect(before).to.deep.include({ status: 'hibernated', statusReason: 'by_request', statusMessage: null })
    expect((await run()).told).to.deep.equal({ draining: 1, left: 0, arrived: 0 })
    expect(await theSession(scene.stores, id)).to.deep.equal(before)
    expect(await moves()).to.deep.equal([])
    await consistent()
  }

  it('starts nothing elsewhere whose rest an operator has sent again, also where the agent answers before it looks', async () => {
    const session = await leavingHere()
    await givenUp(session)
    const asked = await intervene(redrive, session)
    expect(asked).to.include({
      status: 'hibernating',
      statusReason: 'queued_for_agent',
      generation: session.generation,
    })
    expect(await moves()).to.deep.equal([])
    await says(scene.here, asked, 'hibernated')
    await staysHere(session)
  })

  it('starts nothing elsewhere whose rest an operator has sent again though it rested already: it rests by request then', async () => {
    const session = await leavingHere()
    await dead(session)
    expect(await says(scene.here, session, 'hibernated')).to.include({ statusReason: 'draining' })
    await intervene(redrive, session)
    await staysHere(session)
  })

  it('does not start what an operator has sent again between its look and its write', async () => {
    const session = await leavingHere()
    await dead(session)
    await says(scene.here, session, 'hibernated')
    const [move] = await scene.stores.drains.moves(10)
    await intervene(redrive, session)
    const late = right(arrive(move?.session ?? session, on(scene.there.agentId), anIntent({ actor: 'drain' })))
    expect((await scene.stores.drains.arrive(late))._tag).to.equal('Left')
    await staysHere(session)
  })

  it('starts nothing elsewhere whose rest an operator has cancelled, and which its agent had put to rest all the same', async () => {
    const session = await leavingHere()
    expect(await intervene(cancel, session)).to.include({ status: 'failed', statusReason: 'delivery_failed' })
    expect(await moves()).to.deep.equal([])
    await says(scene.here, await theSession(scene.stores, session.id), 'hibernated')
    await staysHere(session)
  })

  it('starts elsewhere what rests already, when all that an operator has cancelled is to tell its agent once more', async () => {
    const session = await leavingHere()
    await says(scene.here, session, 'hibernated')
    expect(await intervene(cancel, session)).to.include({ status: 'hibernated', statusReason: 'draining' })
    expect((await run()).told).to.deep.include({ arrived: 1 })
    expect(await theSession(scene.stores, session.id)).to.include({
      desiredState: 'running',
      agentId: scene.there.agentId,
    })
  })

  it('forgets what an operator has sent again through a server of the release before, which leaves the move', async () => {
    const session = await leavingHere()
    await givenUp(session)
    const [move] = await scene.stores.ask('SELECT * FROM session_moves')
    await intervene(redrive, session)
    await scene.stores.ask(
      'INSERT INTO session_moves SELECT * FROM jsonb_populate_record(NULL::session_moves, $1)',
      move,
    )
    expect(await moves()).to.have.length(1)
    await run()
    expect(await moves()).to.deep.equal([])
    expect(await theSession(scene.stores, session.id)).to.include({
      status: 'hibernating',
      generation: session.generation,
    })
  })
})
