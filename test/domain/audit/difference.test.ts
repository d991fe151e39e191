import { expect } from 'chai'
import fc from 'fast-check'
import { changed, REDACTED } from '../../../domain/audit/difference.ts'
import { withoutSecrets } from '../../../domain/audit/secrets.ts'
import { quickestOf, timed } from '../../support/quickest.ts'

describe('what an audit entry keeps of a change', () => {
  it('is what became different, and of something new all of it', () => {
    expect(
      changed(
        { name: 'a', status: 'running', labels: { x: '1' } },
        { name: 'b', status: 'running', labels: { x: '2' } },
      ),
    ).to.deep.equal({
      before: { name: 'a', labels: { x: '1' } },
      after: { name: 'b', labels: { x: '2' } },
    })
    expect(changed(undefined, { name: 'a', region: null })).to.deep.equal({ before: null, after: { name: 'a' } })
    expect(changed({ name: 'a' }, null)).to.deep.equal({ before: { name: 'a' }, after: null })
    expect(changed(null, null)).to.deep.equal({ before: null, after: null })
    expect(changed({ a: null }, { b: 1 })).to.deep.equal({ before: { b: null }, after: { b: 1 } })
  })

  it('is no count of changes, and no time of one', () => {
    const was = { name: 'a', version: 1, updatedAt: new Date(0) }
    expect(changed(was, { ...was, version: 2, updatedAt: new Date(1) })).to.deep.equal({ before: {}, after: {} })
  })

  it('has no secret, however deep, and of an environment its names alone', () => {
    const { after } = changed(null, {
      key: 'ssk_x',
      hook: { secret: 's', signingSecret: 's', list: [{ token: 't', accessToken: 't' }], password: null },
      env: { HOME: '/', PASSWORD: 'p' },
      keyId: 'shown',
    })
    expect(after).to.deep.equal({
      key: REDACTED,
      hook: {
        secret: REDACTED,
        signingSecret: REDACTED,
        list: [{ token: REDACTED, accessToken: REDACTED }],
        password: null,
      },
      env: { HOME: REDACTED, PASSWORD: REDACTED },
      keyId: 'shown',
    })
  })

  it('has nothing that opens what an address leads to, and tells that it became another', () => {
    const at = (token: string) => ({ endpoint: { url: `http://h:1/?token=${token}&view=1`, port: 1 }, name: 'a' })
    expect(changed(at('one'), at('another'))).to.deep.equal({
      before: { endpoint: { url: 'http://h:1/?token=[redacted]&view=1', port: 1 } },
      after: { endpoint: { url: 'http://h:1/?token=[redacted]&view=1', port: 1 } },
    })
  })

  it('has nothing that a program has printed', () => {
    expect(changed({ lastOutput: 'PASSWORD=p', exitCode: 1 }, { lastOutput: null, exitCode: null })).to.deep.equal({
      before: { lastOutput: REDACTED, exitCode: 1 },
      after: { lastOutput: null, exitCode: null },
    })
  })

  it('is bounded, whatever there is', () => {
    const { after } = changed(null, { name: 'a', notes: 'x'.repeat(100_000) })
    expect(after).to.deep.equal({ tooLarge: 100_023, fields: 'name, notes' })
    fc.assert(
      fc.property(fc.object({ maxDepth: 12 }), fc.object({ maxDepth: 12 }), (before, after) => {
        const told = changed(JSON.parse(JSON.stringify(before)), JSON.parse(JSON.stringify(after)))
        expect(JSON.stringify(told).length).to.be.below(40_000)
      }),
    )
  })

  it('is found in a moment, however hostile the text', () =>
    quickestOf(5, 500, () =>
      timed(async () => {
        for (const hostile of [
          'eyJ-',
          'eyJaaaaaaaa.',
          'ssa_',
          'ssa_a-',
          '&token',
          '?a&',
          '&api_',
          '&aaaaaaaaaaaaaaaa',
          'token=',
        ])
          withoutSecrets(hostile.repeat(262_144 / hostile.length))
      }),
    ))

  it('and no text has a key, a token or a JWT', () => {
    expect(
      withoutSecrets('GET /api/v1/ssk_0123456789abcdef?x=ssa_abcdefgh12 eyJhbGciOiJub25l.eyJhIjoxfQ.sig'),
    ).to.equal('GET /api/v1/ssk_[redacted]?x=ssa_[redacted] eyJ[redacted]')
    expect(withoutSecrets('a session_identifier, class_0123456789')).to.equal('a session_identifier, class_0123456789')
    expect(withoutSecrets('https://h/?a=1&access_token=x.y&sig=z#token=q "?api_key=k" &Key=1')).to.equal(
      'https://h/?a=1&access_token=[redacted]&sig=[redacted]#token=[redacted] "?api_key=[redacted]" &Key=[redacted]',
    )
    expect(withoutSecrets('SSH_AUTHORIZED_KEYS SSL_CERT_FILE SSO_development')).to.equal(
      'SSH_AUTHORIZED_KEYS SSL_CERT_FILE SSO_development',
    )
    expect(withoutSecrets('/sessions?label=token&q=key&monkey=1')).to.equal('/sessions?label=token&q=key&monkey=1')
  })
})
