/** What is answered when the API server refuses what a session needs. */
import { expect } from 'chai'
import { ApiError } from '../../../agents/kubernetes/api.ts'
import { explained, refusedWith } from '../../../agents/kubernetes/refused.ts'
import { Overtaken } from '../../../agents/kubernetes/writes.ts'

const forbidden = (message: string) => new ApiError(message, 403, 'Forbidden')
const QUOTA =
  'persistentvolumeclaims "session-x" is forbidden: exceeded quota: homes, requested: requests.storage=5Gi, used: requests.storage=0, limited: requests.storage=1Gi'
const RIGHT =
  'secrets "session-x" is forbidden: User "system:serviceaccount:ns:a" cannot get resource "secrets" in API group "" in the namespace "ns"'
const POLICY = 'services "session-x" is forbidden: admission webhook "policy" denied the request: not on Sundays'

describe('what the API server refuses', () => {
  it('for a quota is told as that, with its words, and not tried again', () => {
    const answer = refusedWith(forbidden(QUOTA), 'ns')
    expect(answer).to.include({ kind: 'failed', code: 'quota_exceeded', retryable: false })
    expect(answer).to.have.property('message').that.includes(QUOTA).and.not.includes('role.yaml')
  })

  it('for want of a right says where rights are written down', () => {
    const answer = refusedWith(forbidden(RIGHT), 'ns')
    expect(answer).to.include({ code: 'platform_error', retryable: true })
    expect(answer).to.have.property('message').that.includes(RIGHT).and.includes('role.yaml')
  })

  it('for any other reason is in its own words, without advice on rights', () => {
    expect(explained(forbidden(POLICY), 'ns')).to.equal(POLICY)
    expect(refusedWith(forbidden(POLICY), 'ns')).to.include({ code: 'platform_error', retryable: true })
    expect(refusedWith(new ApiError('spec: Invalid value', 422, 'Invalid'), 'ns')).to.include({ retryable: false })
    expect(refusedWith(new Overtaken('the record'), 'ns')).to.include({ code: 'taken_over', retryable: true })
  })
})
