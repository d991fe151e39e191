import { expect } from 'chai'
import { E } from '../../../domain/fp.ts'
import { hibernate } from '../../../domain/session/decide.ts'
import { leave } from '../../../domain/session/move.ts'
import { isUnchanged } from '../../../domain/session/session.ts'
import { anIntent, aSession } from '../../support/a-session.ts'

describe('a session that leaves its agent', () => {
  it('stays at rest when its user asks for that meanwhile: it is an intent of its own, with which the move is over', () => {
    const leaving = leave(aSession({ status: 'running', persistentHome: false }), anIntent()).session
    expect(leaving).to.include({ status: 'hibernating', statusReason: 'draining' })
    const asked = hibernate(leaving, anIntent())
    if (E.isLeft(asked)) throw new Error('refused')
    expect(isUnchanged(asked.right)).to.equal(false)
    expect(asked.right.session.generation).to.equal(leaving.generation + 1)
    expect(asked.right.session.statusReason).to.equal('by_request')
    const again = hibernate(asked.right.session, anIntent())
    expect(E.isRight(again) && isUnchanged(again.right)).to.equal(true)
  })
})
