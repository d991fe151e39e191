import { expect } from 'chai'
import { createSealer, deriveKey } from '../../../adapters/secrets/sealer.ts'

describe('sealed secrets', () => {
  const sealer = createSealer({ current: 'the secret of this installation', previous: [] })
  const secrets = { PASSWORD: 'correct horse', EMPTY: '', ÜNÏ: 'çödé' }

  it('come back as they were', () => {
    expect(sealer.unseal(sealer.seal(secrets))).to.deep.equal(secrets)
  })

  it('show nothing, and never look the same twice', () => {
    const [first, second] = [sealer.seal(secrets), sealer.seal(secrets)]
    expect(first.toString('latin1')).not.to.contain('correct')
    expect(first.equals(second)).to.equal(false)
  })

  it('cannot be read with another key', () => {
    expect(() => createSealer({ current: 'another', previous: [] }).unseal(sealer.seal(secrets))).to.throw()
  })

  it('cannot be changed or cut anywhere without being noticed', () => {
    const sealed = sealer.seal(secrets)
    for (let index = 0; index < sealed.length; index += 1) {
      const changed = Buffer.from(sealed)
      changed[index]! ^= 1
      expect(() => sealer.unseal(changed), `byte ${index}`).to.throw()
      expect(() => sealer.unseal(sealed.subarray(0, index)), `cut at ${index}`).to.throw()
    }
  })

  it('have a key of their own: one for each purpose', () => {
    const keys = ['session secrets', 'cursors'].map((purpose) => deriveKey('secret', purpose).toString('hex'))
    expect(new Set(keys).size).to.equal(2)
    expect(deriveKey('secret', 'cursors')).to.have.length(32)
    expect(deriveKey('other', 'cursors').toString('hex')).not.to.equal(keys[1])
  })
})
