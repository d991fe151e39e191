/** What somebody sends who wants to see it break: each takes a request that is right, and spoils something of it. */
import fc from 'fast-check'

export type Sent = {
  readonly method: string
  readonly path: string
  readonly headers: { readonly [name: string]: string }
  /** undefined: no body. */
  readonly body: string | undefined
}

const deep = (levels: number): string => `${'['.repeat(levels)}${']'.repeat(levels)}`

export const hostileValues: readonly unknown[] = [
  null,
  true,
  -1,
  0,
  1e308,
  -0.5,
  2 ** 53,
  '',
  ' ',
  '\u0000',
  '\ud800',
  '\u202e\u200b',
  '../../etc/passwd',
  "'; DROP TABLE sessions; --",
  '%00',
  '=,=,',
  'x'.repeat(100_000),
  [],
  {},
  [[[[]]]],
  { $gt: '' },
  { toString: 1, constructor: { prototype: {} } },
]

export const hostileTexts: readonly string[] = [
  '',
  '{',
  'null',
  '[]',
  '"text"',
  '7',
  '{"a":1,"a":2}',
  '{"__proto__":{"role":"installation"}}',
  '{"constructor":{"prototype":{"role":"installation"}}}',
  '\ufeff{}',
  '{"template":"hello-web","template":"\\u0000"}',
  deep(1_000),
  `{"parameters":${'{"a":'.repeat(90)}1${'}'.repeat(90)},"template":"hello-web"}`,
  `{"template":"hello-web","name":"${'\\ud83d'}"}`,
  'NaN',
  '{"template":1e999}',
]

const hostileIds: readonly string[] = [
  'x',
  '%00',
  '%2e%2e%2f',
  '..%2f..',
  '%ff%fe',
  '%F0%9F%92%A9',
  "'%20OR%201=1--",
  '00000000-0000-0000-0000-00000000000',
  '00000000-0000-7000-8000-000000000000',
  'a'.repeat(1_000),
  '__proto__',
  '%0d%0aSet-Cookie:a=b',
]

const hostileHeaders: readonly { readonly [name: string]: string }[] = [
  { 'if-match': '"' },
  { 'if-match': '*' },
  { 'if-match': 'W/"1"' },
  { 'if-match': '"0"' },
  { 'if-match': '"999999999999999-00000000"' },
  { 'if-none-match': '*' },
  { 'if-none-match': '"x", "y"' },
  { 'idempotency-key': '' },
  { 'idempotency-key': '"' },
  { 'idempotency-key': 'x'.repeat(300) },
  { 'streamspace-org': 'no-such-org' },
  { 'streamspace-org': 'a,b' },
  { 'streamspace-org': '' },
  { 'x-request-id': 'x'.repeat(500) },
  { 'content-type': 'text/plain' },
  { 'content-type': 'application/json; charset=utf-16' },
  { 'content-encoding': 'gzip' },
  { authorization: '' },
  { authorization: 'Bearer' },
  { authorization: `Bearer ssk_${'x'.repeat(40)}` },
  { authorization: 'Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.' },
  { authorization: 'Basic YTpi' },
  { 'last-event-id': 'x' },
  { 'last-event-id': `${'A'.repeat(4_000)}` },
  { accept: 'text/csv' },
  { 'x-http-method-override': 'DELETE' },
]

const hostileQueries: readonly string[] = [
  'colour=blue',
  'limit=0',
  'limit=501',
  'limit=1e3',
  'limit=1&limit=2',
  'cursor=',
  'cursor=AAAA',
  'cursor=%00',
  `cursor=${'A'.repeat(1_100)}`,
  '__proto__=1',
  'constructor=1',
  'status=asleep',
  'q=%00',
  'q=%ed%a0%80',
  'q=%25%25%25',
  'label=%3D',
  'label=a',
  'createdAfter=yesterday',
  'force=perhaps',
  'sort=secret',
  '%',
  `q=${'x'.repeat(5_000)}`,
]

type Json = { readonly [field: string]: unknown }
const isObject = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value)

const bodyOf = (sent: Sent): Json => {
  try {
    const value: unknown = JSON.parse(sent.body ?? '{}')
    return isObject(value) ? value : {}
  } catch {
    return {}
  }
}
const withBody = (sent: Sent, body: string): Sent => ({
  ...sent,
  body,
  headers: { 'content-type': 'application/json', ...sent.headers },
})

const spoilField = fc
  .record({ at: fc.nat(), value: fc.constantFrom(...hostileValues) })
  .map(({ at, value }) => (sent: Sent): Sent => {
    const body = bodyOf(sent)
    const names = Object.keys(body)
    const name = names[at % Math.max(1, names.length)] ?? 'name'
    return withBody(sent, JSON.stringify({ ...body, [name]: value }))
  })
const addField = fc
  .record({
    name: fc.constantFrom('colour', 'orgId', 'role', 'id', 'status', '', '\u0000', 'toString'),
    value: fc.jsonValue(),
  })
  .map(
    ({ name, value }) =>
      (sent: Sent): Sent =>
        withBody(sent, JSON.stringify({ ...bodyOf(sent), [name]: value })),
  )
const dropField = fc.nat().map((at) => (sent: Sent): Sent => {
  const entries = Object.entries(bodyOf(sent))
  entries.splice(at % Math.max(1, entries.length), 1)
  return withBody(sent, JSON.stringify(Object.fromEntries(entries)))
})
const anyBody = fc.jsonValue({ maxDepth: 4 }).map(
  (value) =>
    (sent: Sent): Sent =>
      withBody(sent, JSON.stringify(value)),
)
const rawBody = fc.constantFrom(...hostileTexts).map(
  (text) =>
    (sent: Sent): Sent =>
      withBody(sent, text),
)
const header = fc.constantFrom(...hostileHeaders).map(
  (headers) =>
    (sent: Sent): Sent => ({ ...sent, headers: { ...sent.headers, ...headers } }),
)
const query = fc.constantFrom(...hostileQueries).map(
  (more) =>
    (sent: Sent): Sent => ({ ...sent, path: `${sent.path}${sent.path.includes('?') ? '&' : '?'}${more}` }),
)
const pathId = fc.constantFrom(...hostileIds).map((id) => (sent: Sent): Sent => {
  const [path = '', search] = sent.path.split('?')
  const parts = path.split('/')
  // The part that names something, where there is one.
  const at = parts.findLastIndex((part) => /\d|-/.test(part) && part !== 'v1' && part !== 'api-keys')
  if (at > 2) parts[at] = id
  else parts.push(id)
  return { ...sent, path: `${parts.join('/')}${search === undefined ? '' : `?${search}`}` }
})
const method = fc.constantFrom('PUT', 'POST', 'GET', 'HEAD', 'OPTIONS', 'PATCH').map(
  (name) =>
    (sent: Sent): Sent => ({
      ...sent,
      method: name,
      ...(name === 'GET' || name === 'HEAD' ? { body: undefined } : {}),
    }),
)

/** A request that is spoilt in one way, or in two. */
export const spoil: fc.Arbitrary<(sent: Sent) => Sent> = fc
  .array(
    fc.oneof(
      { arbitrary: spoilField, weight: 5 },
      { arbitrary: addField, weight: 2 },
      { arbitrary: dropField, weight: 2 },
      { arbitrary: anyBody, weight: 2 },
      { arbitrary: rawBody, weight: 3 },
      { arbitrary: header, weight: 4 },
      { arbitrary: query, weight: 3 },
      { arbitrary: pathId, weight: 3 },
      { arbitrary: method, weight: 1 },
    ),
    { minLength: 1, maxLength: 2 },
  )
  .map((each) => (sent) => each.reduce((request, change) => change(request), sent))
