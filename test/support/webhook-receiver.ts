/** A real receiver of webhooks, which judges signatures by an implementation that is not ours. */
import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Webhook } from 'standardwebhooks'

export type Message = {
  readonly id: string
  readonly headers: IncomingHttpHeaders
  readonly text: string
  // biome-ignore lint/suspicious/noExplicitAny: a test looks at what it expects
  readonly body: any
}

/** A status, or nothing: it never answers. */
export type Answers = (message: Message, count: number) => number | null | { status: number; location: string }

export type Receiver = {
  readonly url: string
  /** All that came, in order, whatever was answered. */
  readonly messages: readonly Message[]
  /** How many requests are open now, and the most that were at once. */
  readonly open: () => { readonly now: number; readonly most: number }
  readonly answers: (how: Answers) => void
  readonly close: () => Promise<void>
}

export const receiver = async (how: Answers = () => 204): Promise<Receiver> => {
  const messages: Message[] = []
  let answersNow = how
  let now = 0
  let most = 0
  const server = createServer((request, response) => {
    now += 1
    most = Math.max(most, now)
    response.on('close', () => {
      now -= 1
    })
    let text = ''
    request.setEncoding('utf8').on('data', (part) => {
      text += part
    })
    request.on('end', () => {
      const message = {
        id: String(request.headers['webhook-id']),
        headers: request.headers,
        text,
        body: text === '' ? null : JSON.parse(text),
      }
      messages.push(message)
      const answer = answersNow(message, messages.length)
      if (answer === null) return
      if (typeof answer === 'number') response.writeHead(answer).end('{"this is":"not read"}')
      else response.writeHead(answer.status, { location: answer.location }).end()
    })
  })
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`,
    messages,
    open: () => ({ now, most }),
    answers: (other) => {
      answersNow = other
    },
    close: () =>
      new Promise((closed) => {
        server.close(() => closed())
        server.closeAllConnections()
      }),
  }
}

/** Throws unless one of its signatures is by this secret, and it is of these minutes. */
export const verify = (secret: string, { text, headers }: Message): void => {
  new Webhook(secret).verify(text, headers as { [name: string]: string })
}
