import { expect } from 'chai'
import { age, duration, timeWithAge } from '../../../src/cli/age.ts'
import { connectionOf, isLoopback, serverUrl } from '../../../src/cli/connection.ts'
import { parameterValues } from '../../../src/cli/template-parameters.ts'
import { parseTemplates } from '../../../src/program/parse-templates.ts'

const failure = async (promise: Promise<unknown>): Promise<{ exitCode: number; message: string }> =>
  promise.then(
    () => expect.fail('it did not fail'),
    (error) => error,
  )

describe('values on the command line', () => {
  it('become what the template says; what does not look like it is left to the server to refuse', () => {
    const definitions = [
      { name: 'count', type: 'integer' },
      { name: 'share', type: 'number' },
      { name: 'dark', type: 'boolean' },
      { name: 'title', type: 'string' },
    ]
    expect(
      parameterValues(definitions, { count: '-3', share: '.5', dark: 'false', title: '7', unknown: '1' }),
    ).to.deep.equal({ count: -3, share: 0.5, dark: false, title: '7', unknown: '1' })
    expect(parameterValues(definitions, { count: '3.5', share: '', dark: 'yes' })).to.deep.equal({
      count: '3.5',
      share: '',
      dark: 'yes',
    })
  })

  it('of times are as short as they can be said', () => {
    const seconds = [0, 59, 60, 310, 600, 3_600, 11_100, 86_400, 1_036_800]
    expect(seconds.map((s) => duration(s * 1_000))).to.deep.equal([
      '0s',
      '59s',
      '1m',
      '5m10s',
      '10m',
      '1h',
      '3h5m',
      '1d',
      '12d',
    ])
    const now = Date.parse('2026-01-01T00:01:00.000Z')
    expect(age('2026-01-01T00:01:05.000Z', now)).to.equal('0s')
    expect(age(null, now)).to.equal(null)
    expect(timeWithAge('2026-01-01T00:00:00.000Z', now)).to.equal('2026-01-01T00:00:00.000Z (1m ago)')
    expect(timeWithAge('2026-01-01T00:01:30.000Z', now)).to.equal('2026-01-01T00:01:30.000Z (in 30s)')
  })

  it('of templates are told apart by document, whatever they are written in', async () => {
    const documents = async (name: string, text: string) =>
      (await parseTemplates(name, text)).map(({ from, document }) => [from, document])
    expect(await documents('a.yaml', 'name: a\n---\nname: b\n')).to.deep.equal([
      ['a.yaml, document 1', { name: 'a' }],
      ['a.yaml, document 2', { name: 'b' }],
    ])
    expect(await documents('a.json', '[{"name": "a"}]')).to.deep.equal([['a.json', { name: 'a' }]])
    for (const [name, text] of [
      ['a.json', '{name: a}'],
      ['a.yaml', 'name: a\nname: b'],
      ['a.yaml', 'name: *nowhere'],
      ['a.yaml', '---\n---\n'],
      ['a.yaml', '[1]'],
    ] as const)
      expect((await failure(parseTemplates(name, text))).exitCode).to.equal(1)
  })
})

describe('where the server is', () => {
  it('is a URL without a slash at its end; agents may be told ws', () => {
    expect(serverUrl('http://127.0.0.1:8080/')).to.equal('http://127.0.0.1:8080')
    expect(serverUrl('https://example.org/streamspace/')).to.equal('https://example.org/streamspace')
    expect(serverUrl('wss://example.org')).to.equal('https://example.org')
    for (const text of ['localhost:8080', 'ftp://x', 'http://user:secret@x'])
      expect(() => serverUrl(text))
        .to.throw()
        .with.property('exitCode', 2)
  })

  it('is this machine or not, which decides whether the key kept here is sent', async () => {
    expect(['localhost', '127.0.0.1', '127.1.2.3', '[::1]'].map(isLoopback)).to.deep.equal([true, true, true, true])
    expect(['example.org', '10.0.0.1', '127.0.0.1.example.org'].map(isLoopback)).to.deep.equal([false, false, false])
  })

  it('needs a key that can be sent', async () => {
    const { key, keySource } = await connectionOf({ STREAMSPACE_API_KEY: ' ssk_x\n' })
    expect({ key, keySource }).to.deep.equal({ key: 'ssk_x', keySource: { kind: 'environment' } })
    expect((await failure(connectionOf({ STREAMSPACE_API_KEY: 'two words' }))).exitCode).to.equal(2)
  })
})
