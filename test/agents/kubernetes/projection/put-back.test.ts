import { expect } from 'chai'
import { createPace, createRation, putBackMessage } from '../../../../agents/kubernetes/projection/put-back.ts'

describe('how people are told of what was put back', () => {
  it('in a sentence, however many fields there were', () => {
    const fields = Array.from({ length: 30 }, (_, index) => `spec.f${index}`)
    const message = putBackMessage({ what: 'edited', fields, by: ['kubectl'] }, 3)
    expect(message).to.include('spec.f0, spec.f1').and.include('22 more were changed by kubectl and put back (3 more')
    expect(message).to.include('the database is the truth')
  })

  it('a few times at once, then now and then with how many there were', () => {
    const ration = createRation()
    const taken = Array.from({ length: 12 }, (_, index) => ration.take(100_000 + index * 1_000))
    expect(taken.slice(0, 5)).to.deep.equal([0, 0, 0, 0, 0])
    expect(taken.slice(5)).to.deep.equal(Array(7).fill(null))
    expect(ration.take(200_000)).to.equal(7)
  })

  it('of a fight less and less often, never later than was promised', () => {
    const pace = createPace()
    const fought = Array.from({ length: 5 }, (_, index) => pace.written(index * 1_000, true))
    expect(fought).to.deep.equal([1_000, 2_000, 4_000, 4_000, 4_000])
    expect(pace.written(6_000, false)).to.equal(1_000)
    expect(pace.written(60_000, true)).to.equal(1_000)
  })
})
