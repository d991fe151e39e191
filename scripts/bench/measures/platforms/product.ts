/** The product's side: a server, and the agent of a platform as a person starts it, asked over REST. */
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import type { Bench } from '../../bench.ts'
import { connected, type Installation, ROOT, startInstallation } from '../../installation.ts'
import { type Program, startProgram, until } from '../../program.ts'
import { answering } from './answering.ts'
import type { Side, Started } from './side.ts'
import { platformTemplate } from './template.ts'

export type Product = Side & { readonly installation: Installation; readonly agent: Program }

const LOOK_EVERY_MS = 10
/** Whoever looks at a hundred more often takes the cores from those that start them. */
const COUNT_EVERY_MS = 250
const WITHIN_MS = 600_000

type Session = {
  readonly id: string
  readonly status: string
  readonly statusReason: string | null
  readonly endpoint: { readonly host: string; readonly port: number } | null
}

export const startPlatformAgent = async (
  bench: Bench,
  { call, url, database }: Installation,
  platform: string,
  env: { readonly [name: string]: string },
): Promise<Program> => {
  const id = `bench-${platform}`
  const { token } = (await call('POST', '/agents', { id, platform })) as { token: string }
  const program = await startProgram(bench, {
    what: `the ${platform} agent`,
    command: join(ROOT, 'scripts/streamspace'),
    args: ['agent', platform],
    env: {
      STREAMSPACE_URL: url,
      STREAMSPACE_AGENT_ID: id,
      STREAMSPACE_AGENT_TOKEN: token,
      STREAMSPACE_DATA_DIR: join(bench.directory, 'agent'),
      STREAMSPACE_MAX_SESSIONS: '2000',
      STREAMSPACE_CPU_MILLIS: '1000000',
      STREAMSPACE_MEMORY_MIB: '1000000',
      LOG_LEVEL: 'warn',
      ...env,
    },
  })
  await connected(database, 1)
  return program
}

export const startProduct = async (
  bench: Bench,
  platform: string,
  env: { readonly [name: string]: string },
): Promise<Product> => {
  const installation = await startInstallation(bench, { agents: 0 })
  const agent = await startPlatformAgent(bench, installation, platform, env)
  const { call } = installation
  await call('POST', '/templates', platformTemplate)

  const answers = answering(bench)

  const create = async (): Promise<string> =>
    ((await call('POST', '/sessions', { template: platformTemplate.name })) as Session).id

  const started = (id: string): Started => ({
    remove: async () => {
      await call('DELETE', `/sessions/${id}`)
      await until(`the end of session ${id}`, WITHIN_MS, async () =>
        call('GET', `/sessions/${id}`).then(
          () => false,
          (error: Error) => {
            if (!error.message.includes(': 404 ')) throw error
            return true
          },
        ),
      )
    },
  })

  const checkAlive = ({ id, status, statusReason }: Session): void => {
    if (status === 'failed' || status === 'stopped') throw new Error(`session ${id} is ${status}: ${statusReason}`)
  }

  return {
    installation,
    agent,
    start: async () => {
      const id = await create()
      for (;;) {
        const session = (await call('GET', `/sessions/${id}`)) as Session
        if (session.status === 'running' && session.endpoint !== null) {
          // That it runs has to mean that it answers.
          await answers(session.endpoint.host, session.endpoint.port)
          return started(id)
        }
        checkAlive(session)
        await wait(LOOK_EVERY_MS)
      }
    },
    startMany: async (count) => {
      const ids = await Promise.all(Array.from({ length: count }, create))
      for (;;) {
        const { items } = (await call('GET', '/sessions?limit=500&status=running,failed,stopped')) as {
          items: Session[]
        }
        items.forEach(checkAlive)
        if (items.length >= count) {
          await Promise.all(items.map(({ endpoint }) => endpoint && answers(endpoint.host, endpoint.port)))
          return ids.map(started)
        }
        await wait(COUNT_EVERY_MS)
      }
    },
  }
}
