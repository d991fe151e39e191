import { createCipheriv } from 'node:crypto'
import { expect } from 'chai'
import {
  createSealer,
  createTextSealer,
  deriveKey,
  SESSION_SECRETS,
  sealedPrefixOf,
  WEBHOOK_SECRETS,
} from '../../../adapters/secrets/sealer.ts'

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

  it('say under which key they are, and open under any that is known', () => {
    const old = createSealer({ current: 'the key before', previous: [] })
    const both = createSealer({ current: 'the key now', previous: ['another one', 'the key before'] })
    expect(both.unseal(old.seal(secrets))).to.deep.equal(secrets)
    expect(() => old.unseal(both.seal(secrets))).to.throw()
    const prefix = sealedPrefixOf('the key now')
    expect(both.seal(secrets).subarray(0, prefix.length).equals(prefix)).to.equal(true)
    expect(prefix.toString('latin1')).not.to.contain('key')
  })

  it('open also where they were sealed before there were ids of keys', () => {
    const nonce = Buffer.alloc(12, 1)
    const cipher = createCipheriv('aes-256-gcm', deriveKey('the key before', 'session secrets'), nonce)
    const text = Buffer.concat([cipher.update(JSON.stringify(secrets), 'utf8'), cipher.final()])
    const sealed = Buffer.concat([nonce, cipher.getAuthTag(), text])
    const both = createSealer({ current: 'the key now', previous: ['the key before'] })
    expect(both.unseal(sealed)).to.deep.equal(secrets)
    expect(() => createSealer({ current: 'the key now', previous: [] }).unseal(sealed)).to.throw()
  })

  it('of one purpose open for no other', () => {
    const keyring = { current: 'the key now', previous: [] }
    const webhook = createTextSealer(keyring, WEBHOOK_SECRETS)
    expect(() => createTextSealer(keyring, SESSION_SECRETS).unseal(webhook.seal('whsec_'))).to.throw()
  })

  it('have a key of their own: one for each purpose', () => {
    const keys = ['session secrets', 'cursors'].map((purpose) => deriveKey('secret', purpose).toString('hex'))
    expect(new Set(keys).size).to.equal(2)
    expect(deriveKey('secret', 'cursors')).to.have.length(32)
    expect(deriveKey('other', 'cursors').toString('hex')).not.to.equal(keys[1])
  })
})
