import { expect } from 'chai'
import { isUnavailable } from '../../../adapters/http/unavailable.ts'

const withCode = (code: string, message = 'x') => Object.assign(new Error(message), { code })

describe('telling a lost database from a bug', () => {
  it('codes of a database that is gone, starting, a standby, full or overloaded', () => {
    for (const code of ['57P01', '57P02', '57P03', '25006', '08000', '08006', '08P01', '53300', '57014'])
      expect(isUnavailable(withCode(code)), code).to.equal(true)
  })

  it('errors of the network, of several addresses, and inside another error', () => {
    for (const code of ['ECONNREFUSED', 'ECONNRESET', 'ENOTFOUND', 'ETIMEDOUT', 'EPIPE'])
      expect(isUnavailable(withCode(code)), code).to.equal(true)
    expect(isUnavailable(new AggregateError([withCode('ECONNREFUSED')]))).to.equal(true)
    expect(isUnavailable(new Error('no', { cause: withCode('57P01') }))).to.equal(true)
    expect(isUnavailable(Object.assign(withCode('ENOENT'), { syscall: 'connect' }))).to.equal(true)
  })

  it('what the driver says in words only', () => {
    for (const message of [
      'Connection terminated',
      'Connection terminated unexpectedly',
      'timeout exceeded when trying to connect',
    ])
      expect(isUnavailable(new Error(message)), message).to.equal(true)
  })

  it('anything else is a bug', () => {
    for (const error of [withCode('42601'), withCode('23505'), withCode('ENOENT'), new TypeError('x'), 'text', null])
      expect(isUnavailable(error)).to.equal(false)
    const circular = new Error('a')
    circular.cause = circular
    expect(isUnavailable(circular)).to.equal(false)
  })
})
