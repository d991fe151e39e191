import type { Command } from 'commander'
import type { Template } from '../api/template.ts'
import { ExitError } from '../program/exit-error.ts'
import { age, timeWithAge } from './age.ts'
import type { Context } from './context.ts'
import { defined } from './defined.ts'
import { explain, isExplained } from './explain.ts'
import {
  type JsonOption,
  jsonOption,
  type ListOptions,
  limitOf,
  nonEmpty,
  repeated,
  withListOptions,
  words,
} from './options.ts'
import { showList } from './show-list.ts'
import { type Column, renderFields, renderTable } from './table.ts'
import { readTemplates } from './template-files.ts'

type TemplateListOptions = ListOptions & {
  readonly category?: readonly string[]
  readonly platform?: readonly string[]
  readonly tag?: readonly string[]
  readonly q?: string
}

export const addTemplateCommands = (program: Command, context: Context): void => {
  const { terminal } = context
  const template = program.command('template').description('templates: what sessions are made from')

  withListOptions(
    template
      .command('list')
      .description('list templates, each at its newest version')
      .option('--category <category>', 'of this category', words)
      .option('--platform <platform>', 'that can run there', words)
      .option('--tag <tag>', 'with this tag', words)
      .option('--q <text>', 'with this in the name or the display name, in any case', nonEmpty),
    null,
  ).action(async (options: TemplateListOptions) => {
    const { category, platform, tag, q } = options
    const filters = defined({ category, platform, tag, q })
    const listed = await (await context.client()).templates.list(filters, limitOf(options))
    showList(terminal, 'templates', listed, templateColumns(Date.now()), options)
  })

  template
    .command('get')
    .description('show a template and its parameters')
    .argument('<name>', 'name of the template', nonEmpty)
    .addOption(jsonOption())
    .action(async (name: string, { json }: JsonOption) => {
      const found = await (await context.client()).templates.get(name)
      if (json) terminal.json(found)
      else terminal.out(templateBlock(found, Date.now(), terminal))
    })

  withListOptions(
    template
      .command('versions')
      .description("a template's versions, newest first")
      .argument('<name>', 'name of the template', nonEmpty),
    null,
  ).action(async (name: string, options: ListOptions) => {
    const listed = await (await context.client()).templates.versions(name, limitOf(options))
    showList(terminal, 'versions', listed, templateColumns(Date.now()), options)
  })

  template
    .command('apply')
    .alias('create')
    .description('create templates, or new versions of them, from files')
    .requiredOption('-f, --file <path>', 'JSON or YAML (also several documents); - is standard input', repeated)
    .addOption(jsonOption())
    .action(async ({ file, json }: JsonOption & { readonly file: readonly string[] }) => {
      await applyTemplates(context, file, json === true)
    })

  template
    .command('delete')
    .description('archive a template: sessions that were made from it keep it')
    .argument('<name>', 'name of the template', nonEmpty)
    .addOption(jsonOption())
    .action(async (name: string, { json }: JsonOption) => {
      await (await context.client()).templates.archive(name)
      if (!json) terminal.out(`template ${name} is archived`)
    })
}

/** One that is refused does not keep the others from being applied. */
const applyTemplates = async (context: Context, files: readonly string[], json: boolean): Promise<void> => {
  const { terminal } = context
  const found = await readTemplates(files)
  const client = await context.client()
  const applied: Template[] = []
  const refused: string[] = []
  for (const { from, document } of found) {
    try {
      const { template, created } = await client.templates.put(document)
      applied.push(template)
      if (!json)
        terminal.out(`template ${template.name} version ${template.version} ${created ? 'created' : 'unchanged'}`)
    } catch (error) {
      // Without a server the next one fares no better.
      if (!isExplained(error) || error.name !== 'ProblemError') throw error
      refused.push(`${from}: ${explain(error, await context.connection()).join('\n')}`)
    }
  }
  if (json && applied.length > 0) terminal.json(found.length === 1 ? applied[0] : applied)
  if (refused.length > 0) throw new ExitError(1, refused.join('\n'))
}

const templateColumns = (now: number): readonly Column<Template>[] => [
  { title: 'NAME', cell: ({ name }) => name },
  { title: 'VERSION', cell: ({ version }) => String(version) },
  { title: 'DISPLAY NAME', cell: ({ displayName }) => displayName, shrinks: true },
  { title: 'CATEGORY', cell: ({ category }) => category ?? null, shrinks: true },
  { title: 'PLATFORMS', cell: ({ platforms }) => platforms.join(','), shrinks: true },
  { title: 'OWNER', cell: ({ orgId }) => orgId ?? 'public', shrinks: true },
  { title: 'AGE', cell: ({ createdAt }) => age(createdAt, now) },
]

type Parameter = NonNullable<Template['parameters']>[number]

const textOf = (value: unknown): string | null =>
  value === undefined || value === null ? null : typeof value === 'string' ? value : JSON.stringify(value)

const parameterColumns: readonly Column<Parameter>[] = [
  { title: 'PARAMETER', cell: ({ name }) => textOf(name) },
  {
    title: 'TYPE',
    cell: ({ type, options }) => (Array.isArray(options) ? options.map(String).join('|') : textOf(type)),
    shrinks: true,
  },
  { title: 'REQUIRED', cell: ({ required }) => (required === true ? 'yes' : 'no') },
  { title: 'DEFAULT', cell: ({ default: value }) => textOf(value), shrinks: true },
  { title: 'DESCRIPTION', cell: ({ description }) => textOf(description), shrinks: true },
]

const templateBlock = (template: Template, now: number, { look }: Context['terminal']): string => {
  const { resources = {}, parameters = [], spec } = template
  const fields = renderFields(
    [
      ['name', template.name],
      ['version', String(template.version)],
      ['display name', template.displayName],
      ['description', template.description],
      ['category', template.category],
      ['tags', template.tags?.join(', ')],
      ['platforms', template.platforms.join(', ')],
      ['owner', template.orgId ?? 'public'],
      ['cpu', resources.cpuMillis === undefined ? null : `${resources.cpuMillis} mCPU`],
      ['memory', resources.memoryMib === undefined ? null : `${resources.memoryMib} MiB`],
      ['created', timeWithAge(template.createdAt, now)],
      ['archived', timeWithAge(template.archivedAt, now)],
      ['spec', JSON.stringify(spec)],
    ],
    look.paint,
  )
  return parameters.length === 0 ? fields : `${fields}\n\n${renderTable(parameterColumns, parameters, look)}`
}
