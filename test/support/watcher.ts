/** A watcher with nothing but `node:http` and the rules of server-sent events. */
import { Agent, type IncomingMessage, request } from 'node:http'
import { eventually, PATIENCE_MS } from './eventually.ts'

// biome-ignore lint/suspicious/noExplicitAny: what an event holds is what the tests are about
export type Told = { readonly event: string; readonly id: string; readonly data: any }

export type Watcher = {
  readonly status: number
  readonly headers: IncomingMessage['headers']
  /** Events without a name, as they came. */
  readonly told: readonly Told[]
  readonly comments: readonly string[]
  readonly retry: () => number | null
  /** Of `ready`. */
  readonly begun: () => string
  /** The last `id` that came. */
  readonly lastId: () => string
  /** The body of what is no stream. */
  readonly text: () => string
  /** Waits until there are so many events. */
  readonly until: (count: number, within?: number) => Promise<readonly Told[]>
  readonly over: (within?: number) => Promise<void>
  readonly isOver: () => boolean
  /** Stops reading: what comes waits with the kernels, and then with the server. */
  readonly pause: () => void
  readonly resume: () => void
  /** As if the laptop were closed. */
  readonly cut: () => void
}

export type WatchCall = {
  readonly url: string
  readonly key: string
  readonly query?: string
  readonly headers?: { readonly [name: string]: string }
  readonly onTold?: (told: Told) => void
}

/** Resolves when the first event has come, or the refusal. */
export const watch = async ({ url, key, query = '', headers = {}, onTold }: WatchCall): Promise<Watcher> => {
  const told: Told[] = []
  const comments: string[] = []
  let retry: number | null = null
  let begun: string | null = null
  let lastId = ''
  let text = ''
  let over = false
  const agent = new Agent({ keepAlive: false })
  const sent = request(`${url}/api/v1/watch${query}`, {
    agent,
    headers: { authorization: `Bearer ${key}`, ...headers },
  })
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    sent.once('response', resolve)
    sent.once('error', reject)
    sent.end()
  })
  sent.on('error', () => {})
  const isStream = response.headers['content-type']?.startsWith('text/event-stream') === true

  const dispatch = (block: string): void => {
    let event = ''
    let id: string | null = null
    const data: string[] = []
    for (const line of block.split('\n')) {
      const at = line.indexOf(':')
      const name = at === -1 ? line : line.slice(0, at)
      const value = at === -1 ? '' : line.slice(at + 1).replace(/^ /, '')
      if (name === '' && at === 0) comments.push(value)
      else if (name === 'event') event = value
      else if (name === 'data') data.push(value)
      else if (name === 'id') id = value
      else if (name === 'retry') retry = Number(value)
      else throw new Error(`no line of an event: ${line}`)
    }
    if (id !== null) lastId = id
    if (event === 'ready') begun = id
    if (data.length === 0 || event !== '') return
    const one = { event, id: id ?? '', data: JSON.parse(data.join('\n')) }
    told.push(one)
    onTold?.(one)
  }
  let rest = ''
  response.setEncoding('utf8')
  response.on('data', (chunk: string) => {
    if (!isStream) {
      text += chunk
      return
    }
    const blocks = (rest + chunk).split('\n\n')
    rest = blocks.pop() ?? ''
    for (const block of blocks) dispatch(block)
  })
  response.on('close', () => {
    over = true
  })
  response.on('error', () => {})

  const is = (holds: () => boolean, what: () => string, within = PATIENCE_MS): Promise<void> =>
    eventually(
      async () => {
        if (!holds()) throw new Error(what())
      },
      { within },
    )
  await is(
    () => (isStream ? begun !== null : over),
    () => 'no first event',
  )
  return {
    status: response.statusCode ?? 0,
    headers: response.headers,
    told,
    comments,
    retry: () => retry,
    begun: () => begun ?? '',
    lastId: () => lastId,
    text: () => text,
    until: async (count, within) => {
      await is(
        () => told.length >= count,
        () => `${told.length} events instead of ${count}`,
        within,
      )
      return told
    },
    over: (within) =>
      is(
        () => over,
        () => 'the stream goes on',
        within,
      ),
    isOver: () => over,
    pause: () => void response.pause(),
    resume: () => void response.resume(),
    cut: () => void sent.destroy(),
  }
}
