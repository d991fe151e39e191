import { expect } from 'chai'
import { addressesOf, unfitTarget, withoutPassword } from '../../../domain/ports/database-url.ts'

describe('the address of a database', () => {
  it('of one host is itself', () => {
    for (const url of [
      'postgres://u:p@db/streamspace',
      'postgresql://u:p%40%2C@db:5433/streamspace?sslmode=verify-full',
      'postgres://db',
      'postgres:///streamspace?host=/run/postgresql',
      'postgres://u@/streamspace?host=/run/postgresql',
      'postgres://u:p@[::1]:5432/streamspace',
    ])
      expect(addressesOf(url), url).to.deep.equal([url])
  })

  it('of several hosts is one address for each, in order, with the same account, database and options', () => {
    expect(addressesOf('postgres://u:p@h1:5432,h2,[::1]:5433/db?application_name=x')).to.deep.equal([
      'postgres://u:p@h1:5432/db?application_name=x',
      'postgres://u:p@h2/db?application_name=x',
      'postgres://u:p@[::1]:5433/db?application_name=x',
    ])
  })

  it('is none when it names another thing, a port that is none, or a host that is nothing', () => {
    for (const text of [
      'mysql://h1,h2/db',
      'h1,h2',
      'postgres://h1,,h2/db',
      'postgres://h1,/db',
      'postgres://h1:0/db',
      'postgres://h1:99999,h2/db',
      'postgres://h1:port/db',
      'postgres://h 1/db',
      '',
    ])
      expect(addressesOf(text), text).to.equal(null)
  })

  it('may ask for the host that takes writes and for no other', () => {
    expect(unfitTarget('postgres://h1,h2/db')).to.equal(null)
    for (const wanted of ['read-write', 'primary', 'any'])
      expect(unfitTarget(`postgres://h1,h2/db?a=b&target_session_attrs=${wanted}`)).to.equal(null)
    expect(unfitTarget('postgres://h1,h2/db?target_session_attrs=standby')).to.equal('standby')
  })

  it('is shown without its password', () => {
    expect(withoutPassword('postgres://u:secret@h1,h2:5433/db?password=secret&x=1')).to.equal(
      'postgres://u:***@h1,h2:5433/db?password=***&x=1',
    )
    expect(withoutPassword('postgres://u@h1/db')).to.equal('postgres://u@h1/db')
  })
})
