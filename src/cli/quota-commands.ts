/** Quotas of orgs: shown, and changed one limit at a time. */
import { type Command, InvalidArgumentError } from 'commander'
import { type Limits, noLimits, type QuotaName, quotaNames } from '../../domain/quota/quota.ts'
import type { QuotaRepresentation, UsageRepresentation } from '../api/quota.ts'
import type { Context } from './context.ts'
import { type JsonOption, jsonOption, nonEmpty, wholeNumber, words } from './options.ts'
import { type Column, renderTable } from './table.ts'

type Limit = number | 'none'
type QuotaOptions = JsonOption & {
  readonly maxSessions?: Limit
  readonly maxRunning?: Limit
  readonly cpuMillis?: Limit
  readonly memoryMib?: Limit
  readonly perUser?: true
  readonly template?: string
  readonly clear?: true
}
type UsageOptions = JsonOption & { readonly user?: readonly string[]; readonly template?: readonly string[] }

const limit = (text: string): Limit => (text === 'none' ? 'none' : wholeNumber(0)(text))

export const addQuotaCommands = (org: Command, context: Context): void => {
  const { terminal } = context

  const quota = org
    .command('quota')
    .description('show or change the quota of an org; changed by installation keys only')
    .argument('<id>', 'id of the org', nonEmpty)
    .option('--max-sessions <n>', 'sessions that are kept, in whatever state; none: no limit', limit)
    .option('--max-running <n>', 'sessions that are to run', limit)
    .option('--cpu-millis <n>', 'of those that are to run, together', limit)
    .option('--memory-mib <n>', 'of those that are to run, together', limit)
    .option('--per-user', 'these limits are of each user')
    .option('--template <name>', 'these limits are of this template', nonEmpty)
    .option('--clear', 'no limits at all, before those that are given here')
    .addOption(jsonOption())
  quota.action(async (id: string, options: QuotaOptions) => {
    if (options.perUser && options.template !== undefined)
      throw new InvalidArgumentError(
        '--per-user and --template exclude each other: limits of each template hold for all its users.',
      )
    const changes = changesIn(options)
    if ((options.perUser || options.template !== undefined) && changes === null)
      throw new InvalidArgumentError('Say which limits, such as --max-running 5.')
    const { orgs } = await context.client()
    const read = await orgs.quotaAndEtag(id)
    const shown =
      changes === null && !options.clear
        ? read.quota
        : await orgs.setQuota(
            id,
            changed(options.clear ? {} : read.quota, options, changes ?? {}),
            read.etag ?? undefined,
          )
    if (options.json) terminal.json(shown)
    else terminal.out(renderTable(limitColumns, limitRows(shown), terminal.look))
  })

  org
    .command('usage')
    .description('what an org has of what its quota limits')
    .argument('<id>', 'id of the org', nonEmpty)
    .option('--user <users>', 'of these users (default: the 100 with the most sessions)', words)
    .option('--template <names>', 'of these templates (default: the 100 with the most sessions)', words)
    .addOption(jsonOption())
    .action(async (id: string, { json, ...filter }: UsageOptions) => {
      const usage = await (await context.client()).orgs.usage(id, filter)
      if (json) terminal.json(usage)
      else terminal.out(renderTable(usageColumns, usageRows(usage), terminal.look))
    })
}

/** null: none is given. */
const changesIn = (options: QuotaOptions): Partial<Limits> | null => {
  const given = quotaNames.flatMap((name) => {
    const value = options[name]
    return value === undefined ? [] : [[name, value === 'none' ? null : value] as const]
  })
  return given.length === 0 ? null : Object.fromEntries(given)
}

const changed = (
  before: Partial<QuotaRepresentation>,
  { perUser, template }: QuotaOptions,
  changes: Partial<Limits>,
): Partial<QuotaRepresentation> => {
  if (perUser) return { ...before, perUser: { ...noLimits, ...before.perUser, ...changes } }
  if (template === undefined) return { ...before, ...changes }
  const templates = before.perTemplate ?? {}
  return { ...before, perTemplate: { ...templates, [template]: { ...noLimits, ...templates[template], ...changes } } }
}

type LimitRow = Limits & { readonly of: string }
const limitRows = ({ perUser, perTemplate, ...org }: QuotaRepresentation): readonly LimitRow[] => [
  { of: 'the org', ...org },
  { of: 'each user', ...perUser },
  ...Object.entries(perTemplate).map(([name, limits]) => ({ of: `template ${name}`, ...limits })),
]

const number = (value: number | null): string | null => (value === null ? null : String(value))
const titles: { readonly [N in QuotaName]: string } = {
  maxSessions: 'SESSIONS',
  maxRunning: 'RUNNING',
  cpuMillis: 'CPU (MILLIS)',
  memoryMib: 'MEMORY (MIB)',
}
const limitColumns: readonly Column<LimitRow>[] = [
  { title: 'AT MOST, OF', cell: (row) => row.of, shrinks: true },
  ...quotaNames.map((name) => ({ title: titles[name], cell: (row: LimitRow) => number(row[name]) })),
]

type UsageRow = Omit<UsageRepresentation, 'perUser' | 'perTemplate'> & { readonly of: string }
const usageRows = ({ perUser, perTemplate, ...org }: UsageRepresentation): readonly UsageRow[] => [
  { of: 'the org', ...org },
  ...Object.entries(perUser).map(([id, amounts]) => ({ of: `user ${id}`, ...amounts })),
  ...Object.entries(perTemplate).map(([name, amounts]) => ({ of: `template ${name}`, ...amounts })),
]
const usageColumns: readonly Column<UsageRow>[] = [
  { title: 'OF', cell: (row) => row.of, shrinks: true },
  { title: titles.maxSessions, cell: (row) => number(row.sessions) },
  { title: titles.maxRunning, cell: (row) => number(row.running) },
  { title: titles.cpuMillis, cell: (row) => number(row.cpuMillis) },
  { title: titles.memoryMib, cell: (row) => number(row.memoryMib) },
]
