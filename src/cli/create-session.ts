import type { Command } from 'commander'
import type { Json } from '../api/json.ts'
import type { CreateSessionRequest } from '../api/session.ts'
import type { Context } from './context.ts'
import { defined } from './defined.ts'
import { nonEmpty, type Pairs, pair, wholeNumber } from './options.ts'
import { readText } from './read-text.ts'
import { showSession } from './show-session.ts'
import { definitionsOf, parameterValues } from './template-parameters.ts'
import { settle, type WaitOptions, withWaitOptions } from './wait-command.ts'

/** PostgreSQL's `integer`, which is what the API takes. */
const MAX_INTEGER = 2_147_483_647

type CreateOptions = WaitOptions & {
  readonly name?: string
  readonly param?: Pairs
  readonly paramFile?: Pairs
  readonly env?: Pairs
  readonly label?: Pairs
  readonly platform?: string
  readonly region?: string
  readonly agent?: string
  readonly cpuMillis?: number
  readonly memoryMib?: number
  readonly templateVersion?: number
  readonly persistentHome: boolean
  readonly idleTimeout?: number
  readonly maxDuration?: number
}

export const addCreate = (session: Command, context: Context): void => {
  withWaitOptions(
    session
      .command('create')
      .description('create a session and start it')
      .argument('<template>', 'name of the template', nonEmpty)
      .option('--name <name>', 'what to call it (default: after the template)', nonEmpty)
      .option('--param <name=value>', 'a parameter of the template; once for each', pair)
      .option('--param-file <name=path>', 'the same from a file, for secrets; - is standard input', pair)
      .option('--env <NAME=value>', 'an environment variable; once for each', pair)
      .option('--label <name=value>', 'a label; once for each', pair)
      .option('--platform <platform>', 'only on agents of this platform', nonEmpty)
      .option('--region <region>', 'only on agents of this region', nonEmpty)
      .option('--agent <id>', 'only on this agent', nonEmpty)
      .option('--cpu-millis <n>', 'thousandths of a CPU core (default: of the template)', wholeNumber(1, MAX_INTEGER))
      .option('--memory-mib <n>', 'memory in MiB (default: of the template)', wholeNumber(1, MAX_INTEGER))
      .option('--template-version <n>', 'default: the newest', wholeNumber(1, MAX_INTEGER))
      .option('--no-persistent-home', 'do not keep its files when it is stopped')
      .option('--idle-timeout <seconds>', 'stored and shown, not acted on yet', wholeNumber(1, MAX_INTEGER))
      .option('--max-duration <seconds>', 'stored and shown, not acted on yet', wholeNumber(1, MAX_INTEGER)),
  ).action(async (template: string, options: CreateOptions) => {
    const client = await context.client()
    const created = await client.sessions.create(await createRequest(context, template, options))
    const settled = await settle(context, created, 'running', options)
    if (settled !== null) showSession(context.terminal, settled, options)
  })
}

const createRequest = async (
  context: Context,
  template: string,
  options: CreateOptions,
): Promise<Json<CreateSessionRequest>> => {
  const { name, env, label, platform, region, agent, cpuMillis, memoryMib, templateVersion } = options
  const parameters =
    options.param === undefined && options.paramFile === undefined
      ? undefined
      : parameterValues(
          await definitionsOf(await context.client(), template, templateVersion),
          await givenParameters(options),
        )
  const resources = defined({ cpuMillis, memoryMib })
  return {
    template,
    ...defined({
      name,
      parameters,
      env,
      labels: label,
      platform,
      region,
      agentId: agent,
      templateVersion,
      resources: Object.keys(resources).length === 0 ? undefined : resources,
      persistentHome: options.persistentHome ? undefined : false,
      idleTimeoutSeconds: options.idleTimeout,
      maxDurationSeconds: options.maxDuration,
    }),
  }
}

/** What stands on a command line is seen by everyone on the machine; a secret is better in a file. */
const givenParameters = async ({ param = {}, paramFile = {} }: CreateOptions): Promise<Pairs> => {
  const fromFiles: [name: string, value: string][] = []
  for (const [name, path] of Object.entries(paramFile))
    fromFiles.push([name, (await readText(path)).replace(/\r?\n$/, '')])
  return { ...param, ...Object.fromEntries(fromFiles) }
}
