/** Who did what: for an org's admins. */
import { type FileHandle, open } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { Command } from 'commander'
import { type AuditOutcome, auditOutcomes } from '../../domain/ports/audit.ts'
import { type AuditFormat, type AuditRecord, auditFormats } from '../api/audit.ts'
import { ExitError } from '../program/exit-error.ts'
import type { Context } from './context.ts'
import { defined } from './defined.ts'
import { type ListOptions, limitOf, nonEmpty, withListOptions, words, wordsOf } from './options.ts'
import { fileFailed } from './secret-file.ts'
import { showList } from './show-list.ts'
import type { Column } from './table.ts'

type Filters = {
  readonly actor?: readonly string[]
  readonly action?: readonly string[]
  readonly resource?: readonly string[]
  readonly resourceId?: readonly string[]
  readonly outcome?: readonly AuditOutcome[]
  readonly from?: string
  readonly to?: string
}

const TIME = 'such as 2026-01-31T12:00:00Z'

const withFilters = (command: Command): Command =>
  command
    .option('--actor <user>', 'by this user; a key as key:<id>', words)
    .option('--action <operation>', 'operations, such as createSession', words)
    .option('--resource <kind>', 'kinds of things, such as session', words)
    .option('--resource-id <id>', 'of this thing', words)
    .option('--outcome <outcome>', `one or several with commas: ${auditOutcomes.join(', ')}`, wordsOf(auditOutcomes))
    .option('--from <time>', `from then on, ${TIME}`, nonEmpty)
    .option('--to <time>', `before then, ${TIME}`, nonEmpty)

const filtersOf = ({ actor, action, resource, resourceId, outcome, from, to }: Filters) =>
  defined({ actor, action, resource, resourceId, outcome, from, to })

export const addAuditCommands = (program: Command, context: Context): void => {
  const { terminal } = context
  const audit = program.command('audit').description('who did what, from where, and what became of it; admins only')

  withListOptions(
    withFilters(audit.command('list').description('list what was done and refused, newest first')),
    50,
  ).action(async (options: ListOptions & Filters) => {
    const listed = await (await context.client()).audit.list(filtersOf(options), limitOf(options))
    showList(terminal, 'entries', listed, auditColumns, options)
  })

  withFilters(audit.command('export').description('write all of it, oldest first, to a file or stdout'))
    .option('--format <format>', `one of: ${auditFormats.join(', ')} (default: ndjson)`, formatOf)
    .option('--output <file>', 'write it there instead of to stdout; for its owner alone', nonEmpty)
    .action(async (options: Filters & { readonly format?: AuditFormat; readonly output?: string }) => {
      const { format, output } = options
      const client = await context.client()
      // An export is told in the trail: one that could not be written is not asked for. Nor is a file emptied for one that is refused.
      const file = output === undefined ? null : await opened(output)
      const text = await client.audit.export({ ...filtersOf(options), ...defined({ format }) })
      // A pipe or a device has nothing to empty.
      if (file !== null && (await file.stat()).isFile()) await file.truncate()
      const into = file?.createWriteStream() ?? process.stdout
      try {
        await pipeline(Readable.from(text), into, { end: output !== undefined })
      } catch (error) {
        throw new ExitError(1, `the export was cut short (${(error as Error).message}): what there is of it is not all`)
      }
      if (output !== undefined) terminal.note(`the audit trail is in ${output}`)
    })
}

const opened = (path: string): Promise<FileHandle> =>
  open(path, 'a', 0o600).catch((error: unknown) => {
    throw fileFailed(path, error)
  })

const formatOf = (text: string): AuditFormat => wordsOf(auditFormats)(text)[0] as AuditFormat

const auditColumns: readonly Column<AuditRecord>[] = [
  { title: 'AT', cell: ({ at }) => at },
  { title: 'USER', cell: ({ userId }) => userId, shrinks: true },
  { title: 'ACTION', cell: ({ action }) => action },
  { title: 'OF', cell: ({ resourceId }) => resourceId, shrinks: true },
  {
    title: 'OUTCOME',
    cell: ({ outcome, code }) => code ?? outcome,
    colour: ({ outcome }) => (outcome === 'succeeded' ? 'green' : outcome === 'failed' ? 'red' : 'yellow'),
  },
  { title: 'FROM', cell: ({ ip }) => ip },
  { title: 'REQUEST', cell: ({ requestId }) => requestId, shrinks: true },
]
