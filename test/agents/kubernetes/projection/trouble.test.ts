import { expect } from 'chai'
import { ApiError } from '../../../../agents/kubernetes/api.ts'
import { createTrouble } from '../../../../agents/kubernetes/projection/trouble.ts'

describe('trouble with the projection', () => {
  it('is said once for all that it keeps from being shown, with what to do, and waits longer and longer', () => {
    const said: string[] = []
    const write = (details: object, message: string): void => void said.push(`${message} ${JSON.stringify(details)}`)
    const trouble = createTrouble({ debug: write, info: write, warn: write, error: write })
    const missing = new ApiError('the server could not find the requested resource', 404, 'NotFound')
    const waits = [1, 2, 3, 4, 5, 6, 7, 8].map(() => trouble.happened('sessions', missing))
    trouble.happened('templates', missing)
    expect(waits).to.deep.equal([1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000])
    expect(said).to.have.length(1)
    expect(said[0]).to.include('kubectl apply -f agents/kubernetes/manifests/crds.yaml')
    trouble.happened('events', new ApiError('events is forbidden', 403, 'Forbidden'))
    expect(said[1]).to.include('events is forbidden').and.include('role.yaml')
    for (const where of ['sessions', 'templates', 'events', 'events']) trouble.over(where)
    expect(said).to.have.length(3)
    expect(said[2]).to.include('again')
  })
})
