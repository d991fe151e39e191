/** API keys of the org: for its admins. */
import type { Command } from 'commander'
import { type Role, roles } from '../../domain/identity/caller.ts'
import type { ApiKey, ApiKeyWithSecret } from '../api/api-key.ts'
import { writePrivateFile } from '../program/private-file.ts'
import { age } from './age.ts'
import type { Context } from './context.ts'
import { defined } from './defined.ts'
import {
  type JsonOption,
  jsonOption,
  type ListOptions,
  limitOf,
  nonEmpty,
  uuid,
  wholeNumber,
  withListOptions,
  wordsOf,
} from './options.ts'
import { checkNew, checkWritable } from './secret-file.ts'
import { showList } from './show-list.ts'
import type { Column } from './table.ts'

type KeyFileOption = JsonOption & { readonly keyFile?: string }
type CreateOptions = KeyFileOption & {
  readonly name?: string
  readonly user?: string
  readonly org?: string
  readonly expires?: string
}

const KEY = 'id of the key'
const KEY_FILE = ['--key-file <file>', 'write the key there, for its owner alone, instead of printing it'] as const

const roleOf = (text: string): Role => wordsOf(roles)(text)[0] as Role

export const addKeyCommands = (program: Command, context: Context): void => {
  const { terminal } = context
  const key = program.command('key').description('API keys of the org; admins only')

  const handOver = async ({ key: secret, ...apiKey }: ApiKeyWithSecret, { keyFile, json }: KeyFileOption) => {
    if (keyFile !== undefined) await writePrivateFile(keyFile, secret)
    if (json) terminal.json(keyFile === undefined ? { ...apiKey, key: secret } : apiKey)
    else terminal.out(keyFile === undefined ? secret : `the key ${apiKey.id} is in ${keyFile}`)
    const shown = keyFile === undefined ? `this key, ${apiKey.id}, is shown once; whoever` : 'whoever'
    terminal.note(`${shown} has it is ${apiKey.userId} with the role ${apiKey.role}`)
  }

  withListOptions(key.command('list').description('list keys, newest first'), null).action(
    async (options: ListOptions) => {
      const listed = await (await context.client()).apiKeys.list(limitOf(options))
      showList(terminal, 'keys', listed, keyColumns(Date.now()), options)
    },
  )

  key
    .command('create')
    .description('make a key; it is shown this once')
    .argument('<role>', `one of: ${roles.join(', ')}`, roleOf)
    .option('--name <name>', 'for people', nonEmpty)
    .option('--user <user>', 'who acts with it (default: you)', nonEmpty)
    .option('--org <org>', 'of another org; installation keys only', nonEmpty)
    .option('--expires <time>', 'when it ends, such as 2027-01-31T12:00:00Z (default: never)', nonEmpty)
    .option(...KEY_FILE)
    .addOption(jsonOption())
    .action(async (role: Role, options: CreateOptions) => {
      const { name, user: userId, org: orgId, expires: expiresAt } = options
      await checkNew(options.keyFile)
      const made = await (await context.client()).apiKeys.create({
        role,
        ...defined({ name, userId, orgId, expiresAt }),
      })
      await handOver(made, options)
    })

  key
    .command('rotate')
    .description('replace a key by a new one, which is shown this once')
    .argument('<id>', KEY, uuid)
    .option('--overlap <seconds>', 'how long the old one works on (default: not at all)', wholeNumber(0))
    .option(...KEY_FILE)
    .addOption(jsonOption())
    .action(async (id: string, options: KeyFileOption & { readonly overlap?: number }) => {
      if (options.keyFile !== undefined) await checkWritable(options.keyFile)
      await handOver(await (await context.client()).apiKeys.rotate(id, options.overlap ?? 0), options)
    })

  key
    .command('revoke')
    .description('end a key: nobody acts with it any more')
    .argument('<id>', KEY, uuid)
    .action(async (id: string) => {
      await (await context.client()).apiKeys.revoke(id)
      terminal.out(`key ${id} is revoked`)
    })
}

const stateOf = ({ revokedAt, expiresAt }: ApiKey, now: number): string =>
  revokedAt !== null ? 'revoked' : expiresAt !== null && Date.parse(expiresAt) <= now ? 'expired' : 'valid'

const keyColumns = (now: number): readonly Column<ApiKey>[] => [
  { title: 'ID', cell: ({ id }) => id },
  { title: 'KEY', cell: ({ prefix }) => `${prefix}…` },
  { title: 'NAME', cell: ({ name }) => name, shrinks: true },
  { title: 'USER', cell: ({ userId }) => userId, shrinks: true },
  { title: 'ROLE', cell: ({ role }) => role },
  {
    title: 'STATE',
    cell: (key) => stateOf(key, now),
    colour: (key) => (stateOf(key, now) === 'valid' ? 'green' : 'gray'),
  },
  { title: 'ENDS', cell: ({ expiresAt }) => expiresAt },
  { title: 'USED', cell: ({ lastUsedAt }) => (lastUsedAt === null ? null : age(lastUsedAt, now)) },
]
