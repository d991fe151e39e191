/** Webhooks of the org: for its admins. */
import type { Command } from 'commander'
import {
  type DeliveryStatus,
  deliveryStatuses,
  type WebhookEvent,
  webhookEvents,
} from '../../domain/webhook/webhook.ts'
import type { Webhook, WebhookDelivery, WebhookWithSecret } from '../api/webhook.ts'
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
  type Pairs,
  pair,
  uuid,
  wholeNumber,
  withListOptions,
  wordsOf,
} from './options.ts'
import { checkNew, checkWritable } from './secret-file.ts'
import { showList } from './show-list.ts'
import type { Column } from './table.ts'

type SecretFileOption = JsonOption & { readonly secretFile?: string }

const WEBHOOK = 'id of the webhook'
const SECRET_FILE = [
  '--secret-file <file>',
  'write the secret there, for its owner alone, instead of printing it',
] as const

export const addWebhookCommands = (program: Command, context: Context): void => {
  const { terminal } = context
  const webhook = program.command('webhook').description('where events of sessions are sent; admins only')

  const handOver = async ({ secret, ...made }: WebhookWithSecret, { secretFile, json }: SecretFileOption) => {
    if (secretFile !== undefined) await writePrivateFile(secretFile, secret)
    if (json) terminal.json(secretFile === undefined ? { ...made, secret } : made)
    else {
      terminal.out(made.id)
      terminal.out(secretFile === undefined ? secret : `its secret is in ${secretFile}`)
    }
    terminal.note(
      `${secretFile === undefined ? 'the secret is shown once; whoever' : 'whoever'} has it can sign as this server`,
    )
  }
  const show = (found: Webhook, json: true | undefined): void => {
    if (json) terminal.json(found)
    else
      terminal.out(
        `webhook ${found.id} (${stateOf(found)}) sends ${found.events.join(', ')}${ofSessions(found)} to ${found.url}`,
      )
  }

  withListOptions(webhook.command('list').description('list webhooks, newest first'), null).action(
    async (options: ListOptions) => {
      showList(terminal, 'webhooks', await (await context.client()).webhooks.list(limitOf(options)), columns, options)
    },
  )

  webhook
    .command('create')
    .description('make a webhook; its secret is shown this once')
    .argument('<url>', 'where events are sent, by POST', nonEmpty)
    .option('--event <types>', 'only these, such as running,failed (default: all)', wordsOf(webhookEvents))
    .option('--label <name=value>', 'only of sessions that have it; repeat for several', pair)
    .option(...SECRET_FILE)
    .addOption(jsonOption())
    .action(
      async (
        url: string,
        options: SecretFileOption & { readonly event?: readonly WebhookEvent[]; readonly label?: Pairs },
      ) => {
        const { event: events = ['*'], label: labels } = options
        await checkNew(options.secretFile)
        await handOver(await (await context.client()).webhooks.create({ url, events, ...defined({ labels }) }), options)
      },
    )

  webhook
    .command('get')
    .description('show a webhook')
    .argument('<id>', WEBHOOK, uuid)
    .addOption(jsonOption())
    .action(async (id: string, { json }: JsonOption) => show(await (await context.client()).webhooks.get(id), json))

  for (const [name, status, description] of [
    ['enable', 'active', 'send again what happens from now on'],
    ['disable', 'disabled', 'send nothing until it is enabled'],
  ] as const)
    webhook
      .command(name)
      .description(description)
      .argument('<id>', WEBHOOK, uuid)
      .addOption(jsonOption())
      .action(async (id: string, { json }: JsonOption) =>
        show(await (await context.client()).webhooks.change(id, { status }), json),
      )

  webhook
    .command('rotate')
    .description('replace the secret by a new one, which is shown this once')
    .argument('<id>', WEBHOOK, uuid)
    .option('--overlap <seconds>', 'how long the one before signs too (default: a day)', wholeNumber(0))
    .option(...SECRET_FILE)
    .addOption(jsonOption())
    .action(async (id: string, options: SecretFileOption & { readonly overlap?: number }) => {
      if (options.secretFile !== undefined) await checkWritable(options.secretFile)
      await handOver(await (await context.client()).webhooks.rotate(id, options.overlap), options)
    })

  webhook
    .command('delete')
    .description('delete a webhook; what waits to be sent never is')
    .argument('<id>', WEBHOOK, uuid)
    .action(async (id: string) => {
      await (await context.client()).webhooks.remove(id)
      terminal.out(`webhook ${id} is deleted`)
    })

  withListOptions(
    webhook
      .command('deliveries')
      .description('list what was or is to be sent, newest first')
      .argument('<id>', WEBHOOK, uuid)
      .option('--status <statuses>', `of: ${deliveryStatuses.join(', ')}`, wordsOf(deliveryStatuses)),
    50,
  ).action(async (id: string, options: ListOptions & { readonly status?: readonly DeliveryStatus[] }) => {
    const listed = await (await context.client()).webhooks.deliveries(
      id,
      defined({ status: options.status }),
      limitOf(options),
    )
    showList(terminal, 'deliveries', listed, deliveryColumns(Date.now()), options)
  })

  webhook
    .command('redrive')
    .description('send a dead delivery again')
    .argument('<id>', WEBHOOK, uuid)
    .argument('<delivery>', 'id of the delivery', uuid)
    .action(async (id: string, deliveryId: string) => {
      await (await context.client()).webhooks.redrive(id, deliveryId)
      terminal.out(`delivery ${deliveryId} is sent again`)
    })
}

const stateOf = ({ status, statusReason }: Webhook): string =>
  statusReason === null ? status : `${status}: ${statusReason}`

const columns: readonly Column<Webhook>[] = [
  { title: 'ID', cell: ({ id }) => id },
  { title: 'URL', cell: ({ url }) => url, shrinks: true },
  { title: 'EVENTS', cell: ({ events }) => events.join(','), shrinks: true },
  { title: 'STATE', cell: stateOf, colour: ({ status }) => (status === 'active' ? 'green' : 'red') },
]

const colours = { pending: 'yellow', delivered: 'green', dead: 'red' } as const

const deliveryColumns = (now: number): readonly Column<WebhookDelivery>[] => [
  { title: 'ID', cell: ({ id }) => id },
  { title: 'TYPE', cell: ({ type }) => type },
  { title: 'SESSION', cell: ({ sessionId }) => sessionId },
  { title: 'STATUS', cell: ({ status }) => status, colour: ({ status }) => colours[status] },
  { title: 'TRIES', cell: ({ attempts }) => String(attempts) },
  {
    title: 'LAST',
    cell: ({ lastError, responseStatus }) => lastError ?? (responseStatus === null ? null : String(responseStatus)),
    shrinks: true,
  },
  { title: 'AGE', cell: ({ createdAt }) => age(createdAt, now) },
]

const ofSessions = ({ labels }: Webhook): string => {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}=${value}`)
  return pairs.length === 0 ? '' : ` of sessions with ${pairs.join(', ')}`
}
