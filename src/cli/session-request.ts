/** What a session is made from, as options of a command and as a request: for creating one, and for adopting one. */
import type { Command } from 'commander'
import type { Json } from '../api/json.ts'
import type { CreateSessionRequest } from '../api/session.ts'
import type { Client } from '../client/client.ts'
import { defined } from './defined.ts'
import { nonEmpty, type Pairs, pair, wholeNumber } from './options.ts'
import { readText } from './read-text.ts'
import { definitionsOf, parameterValues } from './template-parameters.ts'

/** PostgreSQL's `integer`, which is what the API takes. */
const MAX_INTEGER = 2_147_483_647

export type RequestOptions = {
  readonly name?: string
  readonly param?: Pairs
  readonly paramFile?: Pairs
  readonly env?: Pairs
  readonly label?: Pairs
  readonly cpuMillis?: number
  readonly memoryMib?: number
  readonly templateVersion?: number
  readonly persistentHome: boolean
  readonly idleTimeout?: number
  readonly maxDuration?: number
}

export const withRequestOptions = (command: Command): Command =>
  command
    .option('--name <name>', 'what to call it (default: after the template)', nonEmpty)
    .option('--param <name=value>', 'a parameter of the template; once for each', pair)
    .option('--param-file <name=path>', 'the same from a file, for secrets; - is standard input', pair)
    .option('--env <NAME=value>', 'an environment variable; once for each', pair)
    .option('--label <name=value>', 'a label; once for each', pair)
    .option('--cpu-millis <n>', 'thousandths of a CPU core (default: of the template)', wholeNumber(1, MAX_INTEGER))
    .option('--memory-mib <n>', 'memory in MiB (default: of the template)', wholeNumber(1, MAX_INTEGER))
    .option('--template-version <n>', 'default: the newest', wholeNumber(1, MAX_INTEGER))
    .option('--no-persistent-home', 'do not keep its files when it is stopped')
    .option('--idle-timeout <seconds>', 'stored and shown, not acted on yet', wholeNumber(1, MAX_INTEGER))
    .option('--max-duration <seconds>', 'stored and shown, not acted on yet', wholeNumber(1, MAX_INTEGER))

type Request = Omit<Json<CreateSessionRequest>, 'platform' | 'region' | 'agentId'>

/** `client`: who sees the template, so that its parameters become what it says they are. */
export const requestOf = async (
  client: Pick<Client, 'templates'>,
  template: string,
  options: RequestOptions,
): Promise<Request> => {
  const { name, env, label, cpuMillis, memoryMib, templateVersion } = options
  const parameters =
    options.param === undefined && options.paramFile === undefined
      ? undefined
      : parameterValues(await definitionsOf(client, template, templateVersion), await givenParameters(options))
  const resources = defined({ cpuMillis, memoryMib })
  return {
    template,
    ...defined({
      name,
      parameters,
      env,
      labels: label,
      templateVersion,
      resources: Object.keys(resources).length === 0 ? undefined : resources,
      persistentHome: options.persistentHome ? undefined : false,
      idleTimeoutSeconds: options.idleTimeout,
      maxDurationSeconds: options.maxDuration,
    }),
  }
}

/** What stands on a command line is seen by everyone on the machine; a secret is better in a file. */
const givenParameters = async ({ param = {}, paramFile = {} }: RequestOptions): Promise<Pairs> => {
  const fromFiles: [name: string, value: string][] = []
  for (const [name, path] of Object.entries(paramFile))
    fromFiles.push([name, (await readText(path)).replace(/\r?\n$/, '')])
  return { ...param, ...Object.fromEntries(fromFiles) }
}
