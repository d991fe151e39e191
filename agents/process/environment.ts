/**
 * What a session's command is and sees. Its environment is built from nothing: the agent's own has tokens in
 * it, and whatever the person who started the agent happened to have.
 */
import { constants } from 'node:fs'
import { access, stat } from 'node:fs/promises'
import { delimiter, join, resolve } from 'node:path'
import type { WireSpec } from '../protocol.ts'
import type { Host } from './host.ts'
import { SESSION_ID_VARIABLE } from './membership.ts'
import type { SessionRecord } from './session-record.ts'
import { defaults } from './settings.ts'

export type Environment = { readonly [name: string]: string }

export const portVariable = (name: string): string => `PORT_${name.toUpperCase().replaceAll('-', '_')}`

const portsOf = (record: SessionRecord): Environment => {
  const names = (record.desired.spec.ports ?? []).map(({ name }) => name)
  const given = names.map((name) => [portVariable(name), String(record.ports[name])])
  const first = names[0]
  return Object.fromEntries(first === undefined ? given : [['PORT', String(record.ports[first])], ...given])
}

/**
 * The template's and the session's own variables may change PATH and HOME, but neither who the session is
 * nor the ports it got: a PORT meant for a container would have it listen where nobody looks.
 */
export const environmentFor = (host: Host, bindHost: string, record: SessionRecord): Environment => {
  const { spec, userId } = record.desired
  return {
    PATH: host.path,
    HOME: record.home,
    ...(bindHost === defaults.bindHost ? {} : { HOST: bindHost }),
    ...spec.process?.env,
    ...spec.env,
    ...portsOf(record),
    [SESSION_ID_VARIABLE]: record.sessionId,
    STREAMSPACE_USER: userId,
    STREAMSPACE_ACCESS_TOKEN: record.accessToken,
  }
}

// biome-ignore-start lint/suspicious/noTemplateCurlyInString: that is how templates spell them
const APPS = '${apps}'
const HOME = '${home}'
// biome-ignore-end lint/suspicious/noTemplateCurlyInString: see above

export const expandCommand = (
  command: readonly string[],
  folders: { readonly apps: string; readonly home: string },
): readonly string[] =>
  command.map((argument) => argument.replaceAll(APPS, () => folders.apps).replaceAll(HOME, () => folders.home))

export const commandOf = (host: Host, record: SessionRecord, command: readonly string[]): readonly string[] =>
  expandCommand(command, { apps: host.appsDir, home: record.home })

export const processCommand = (host: Host, record: SessionRecord): readonly string[] =>
  commandOf(host, record, record.desired.spec.process?.command ?? [])

/** Where the program is that a command names, looked for as the session will: null when there is none. */
export const findCommand = async (name: string, environment: Environment, home: string): Promise<string | null> => {
  if (name === '') return null
  const candidates = name.includes('/')
    ? [resolve(home, name)]
    : (environment.PATH ?? '')
        .split(delimiter)
        .filter((folder) => folder !== '')
        .map((folder) => join(resolve(home, folder), name))
  for (const path of candidates) if (await isProgram(path)) return path
  return null
}

const isProgram = async (path: string): Promise<boolean> => {
  try {
    await access(path, constants.X_OK)
    return (await stat(path)).isFile()
  } catch {
    return false
  }
}

export const canRunHere = (spec: WireSpec): boolean => spec.process !== undefined
