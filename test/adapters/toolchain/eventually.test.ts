import { expect } from 'chai'
import { eventually } from '../../support/eventually.ts'

describe('eventually', () => {
  it('returns what the assertion returned when it holds at last', async () => {
    let attempts = 0
    const answer = await eventually(() => {
      attempts += 1
      expect(attempts).to.equal(3)
      return 'there'
    })
    expect(answer).to.equal('there')
  })

  it('fails with the last failure and the time it had', async () => {
    const failure = await eventually(() => expect('starting').to.equal('running'), { within: 60 }).catch(
      (error) => error,
    )
    expect(failure.message).to.match(
      /^still not so after 60 ms and \d+ attempts: expected 'starting' to equal 'running'$/,
    )
    expect(failure).to.include({ actual: 'starting', expected: 'running' })
  })
})
