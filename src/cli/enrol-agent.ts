/** `agent enrol`, which may be run again: docker compose does, at every start. */
import type { Agent, EnrolAgentRequest } from '../api/agent.ts'
import type { Json } from '../api/json.ts'
import type { Client } from '../client/client.ts'
import { isProblem } from '../client/errors.ts'
import { ExitError } from '../program/exit-error.ts'
import { handOver, keptToken, type TokenOptions } from './agent-token.ts'
import type { Context } from './context.ts'
import { defined } from './defined.ts'
import type { Pairs } from './options.ts'
import { checkWritable } from './secret-file.ts'

export type EnrolOptions = TokenOptions & {
  readonly platform: string
  readonly org?: string
  readonly shared?: true
  readonly region?: string
  readonly label?: Pairs
}

export const enrolAgent = async (context: Context, id: string, options: EnrolOptions): Promise<void> => {
  const { platform, org, shared, region, label: labels, tokenFile } = options
  const client = await context.client()
  if (tokenFile !== undefined) {
    if ((await keptToken(tokenFile)) !== null && (await isEnrolled(context, client, id, options))) return
    await checkWritable(tokenFile)
  }
  const request: Json<EnrolAgentRequest> = { id, platform, ...defined({ orgId: shared ? null : org, region, labels }) }
  const enrolled = await client.agents.enrol(request)
  try {
    await handOver(context, enrolled, options, (await context.connection()).url)
  } catch (error) {
    // Nobody has its token: it would only be in the way of trying again.
    await client.agents.remove(id, false).catch(() => {})
    throw error
  }
}

/** Whether all is as it should be already. The token in the file was shown once and cannot be compared. */
const isEnrolled = async (
  { terminal }: Context,
  client: Client,
  id: string,
  { platform, tokenFile, json }: EnrolOptions,
): Promise<boolean> => {
  let known: Agent
  try {
    known = await client.agents.get(id)
  } catch (error) {
    if (isProblem(error, 'not_found')) return false
    throw error
  }
  if (known.platform !== platform)
    throw new ExitError(1, `agent ${id} is enrolled already, but for ${known.platform}, not for ${platform}`)
  if (json) terminal.json(known)
  else terminal.out(`agent ${id} is enrolled already; its token is kept in ${tokenFile}`)
  return true
}
