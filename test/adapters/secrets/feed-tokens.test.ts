import { expect } from 'chai'
import { createFeedTokens } from '../../../adapters/secrets/feed-tokens.ts'
import type { OrgId } from '../../../domain/ids.ts'

const ACME = 'acme' as OrgId
const position = { feed: '0123abcd', xid: 4_294_967_301, id: 7 }

describe('positions as callers keep them', () => {
  const tokens = createFeedTokens(Buffer.alloc(32, 1))
  const token = tokens.encode(ACME, position)

  it('come back as they were, and are one word that fits a header', () => {
    expect(tokens.decode(ACME, token)).to.deep.equal(position)
    expect(token).to.match(/^[A-Za-z0-9_-]{1,60}$/)
  })

  it('are of one org, and of one installation', () => {
    expect(tokens.decode('globex' as OrgId, token)).to.equal(null)
    expect(createFeedTokens(Buffer.alloc(32, 2)).decode(ACME, token)).to.equal(null)
  })

  it('are taken for as long as their key is known, and given out under the newest', () => {
    const now = Buffer.alloc(32, 2)
    const replacing = createFeedTokens(now, [Buffer.alloc(32, 1)])
    expect(replacing.decode(ACME, token)).to.deep.equal(tokens.decode(ACME, token))
    expect(createFeedTokens(now).decode(ACME, token)).to.equal(null)
  })

  it('are refused when anything of them was changed', () => {
    for (let at = 0; at < token.length; at += 1)
      for (const other of ['A', 'b', '-', '=', ' '])
        if (token[at] !== other)
          expect(tokens.decode(ACME, `${token.slice(0, at)}${other}${token.slice(at + 1)}`), `${at}`).to.equal(null)
    for (const bad of ['', 'x', `${token}=`, `${token}A`, token.slice(1), 'x'.repeat(10_000), '\u0000', 'é'])
      expect(tokens.decode(ACME, bad), bad.slice(0, 20)).to.equal(null)
  })
})
