/** An agent's token, which the server shows once: on the terminal, or in a file that only its owner reads. */
import { resolve } from 'node:path'
import type { AgentWithToken } from '../api/agent.ts'
import { ExitError } from '../program/exit-error.ts'
import { readPrivateFile, writePrivateFile } from '../program/private-file.ts'
import type { Context } from './context.ts'
import type { JsonOption } from './options.ts'
import { platforms } from './platforms.ts'
import { fileFailed } from './secret-file.ts'

export type TokenOptions = JsonOption & { readonly tokenFile?: string }

/** What the file has, null when there is none or it is empty. A file with anything but a token is somebody's, and stays. */
export const keptToken = async (path: string): Promise<string | null> => {
  const kept = await readPrivateFile(path).catch((error: unknown) => {
    throw fileFailed(path, error)
  })
  if (kept === null || kept === '') return null
  if (!kept.startsWith('ssa_'))
    throw new ExitError(2, `${path} is there already, and is no agent's token: name a new file`)
  return kept
}

/** Prints the token with how to use it, or writes it to the file and prints nothing secret. */
export const handOver = async (
  { terminal }: Context,
  { token, ...agent }: AgentWithToken,
  { tokenFile, json }: TokenOptions,
  url: string,
): Promise<void> => {
  if (tokenFile !== undefined) {
    try {
      await writePrivateFile(tokenFile, token)
    } catch (error) {
      throw fileFailed(tokenFile, error)
    }
    if (json) terminal.json(agent)
    else terminal.out(`the token of agent ${agent.id} is in ${tokenFile}`)
    terminal.note(howToStart(agent, url, `STREAMSPACE_AGENT_TOKEN_FILE=${resolve(tokenFile)}`))
    return
  }
  if (json) terminal.json({ ...agent, token })
  else terminal.out(token)
  terminal.note('this token is shown once; whoever has it is the agent')
  terminal.note(howToStart(agent, url, `STREAMSPACE_AGENT_TOKEN=${json ? '<token>' : token}`))
}

const howToStart = ({ id, platform }: Omit<AgentWithToken, 'token'>, url: string, token: string): string =>
  Object.hasOwn(platforms, platform)
    ? `start it with: STREAMSPACE_URL=${url} STREAMSPACE_AGENT_ID=${id} ${token} streamspace agent ${platform}`
    : `no agent for ${platform} comes with this program (for ${Object.keys(platforms).join(', ')} there is): one of your own speaks the protocol of docs/protocol.md; it needs STREAMSPACE_URL=${url} STREAMSPACE_AGENT_ID=${id} ${token}`
