/** A server for agents that a test plays by hand. Call `agentsByHand` inside `describe`. */
import { connect, endpoint, type RawAgent } from './raw-agent.ts'
import type { Json } from './rest.ts'
import { type Environment, type Scene, scene } from './scene.ts'
import { enrol, migratedDatabase, type Server, server } from './streamspace.ts'
import { idle, putTemplate } from './templates.ts'

export type Known = { readonly id: string; readonly token: string }
export type Online = Known & { readonly agent: RawAgent }

/** How a command is answered that was done. */
export const running = { outcome: 'applied', observed: { status: 'running', endpoint } }

/** Agents here never beat unless their test does: where silence is not the matter, leave them the usual time. */
export const agentsByHand = (heartbeatIntervalMs = 10_000, env: Environment = {}) => {
  const here: Scene = scene('suite')
  let control: Server
  let serial = 0

  before(async () => {
    control = await server(here, await migratedDatabase(here), {
      STREAMSPACE_ACK_TIMEOUT_MS: '300',
      STREAMSPACE_HEARTBEAT_INTERVAL_MS: String(heartbeatIntervalMs),
      ...env,
    })
    await putTemplate(control.rest, idle)
  })

  /** An agent of its own for each test: what one does must not be found by another. */
  const enrolled = async (): Promise<Known> => {
    serial += 1
    const id = `raw-${serial}`
    return { id, token: await enrol(control.rest, id) }
  }

  const online = async (): Promise<Online> => {
    const known = await enrolled()
    const agent = await connect(here, control.url, known)
    await agent.begin()
    return { ...known, agent }
  }

  const sessionOn = (agentId: string): Promise<Json> => control.rest.create({ template: 'idle', agentId })

  return {
    here,
    get url() {
      return control.url
    },
    get rest() {
      return control.rest
    },
    enrolled,
    online,
    sessionOn,
    connect: (known: Known): Promise<RawAgent> => connect(here, control.url, known),
    commandsOf: async (sessionId: string): Promise<readonly Json[]> =>
      (await control.rest.get(`/sessions/${sessionId}/commands`)).body.items,
    /** A session that this agent has brought to run. */
    runningOn: async ({ id, agent }: Pick<Online, 'id' | 'agent'>): Promise<Json> => {
      const before = agent.commands().length
      const session = await sessionOn(id)
      const command = await agent.command(before + 1)
      agent.ack(command)
      agent.result(command, running)
      return control.rest.until(session.id, 'running')
    },
  }
}
