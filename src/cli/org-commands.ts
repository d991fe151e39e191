/** Orgs: for the installation. */
import type { Command } from 'commander'
import type { Org } from '../api/org.ts'
import { age } from './age.ts'
import type { Context } from './context.ts'
import { defined } from './defined.ts'
import { type JsonOption, jsonOption, type ListOptions, limitOf, nonEmpty, withListOptions } from './options.ts'
import { addQuotaCommands } from './quota-commands.ts'
import { showList } from './show-list.ts'
import type { Column } from './table.ts'

const ORG = 'id of the org'

export const addOrgCommands = (program: Command, context: Context): void => {
  const { terminal } = context
  const org = program
    .command('org')
    .description(
      'orgs, which see nothing of each other: for installation keys; their quotas and use: for their admins, too',
    )

  withListOptions(org.command('list').description('list orgs'), null).action(async (options: ListOptions) => {
    const listed = await (await context.client()).orgs.list(limitOf(options))
    showList(terminal, 'orgs', listed, orgColumns(Date.now()), options)
  })

  org
    .command('create')
    .description('make an org; `key create admin --org <id>` makes its first key')
    .argument('<id>', `${ORG}: lower-case letters, digits and hyphens; for good`, nonEmpty)
    .option('--name <name>', 'for people (default: the id)', nonEmpty)
    .addOption(jsonOption())
    .action(async (id: string, { name, json }: JsonOption & { readonly name?: string }) => {
      const made = await (await context.client()).orgs.create({ id, ...defined({ name }) })
      if (json) terminal.json(made)
      else terminal.out(`org ${made.id} is there`)
    })

  org
    .command('delete')
    .description('delete an org that has no sessions and no agents; its keys end')
    .argument('<id>', ORG, nonEmpty)
    .action(async (id: string) => {
      await (await context.client()).orgs.remove(id)
      terminal.out(`org ${id} is deleted`)
    })

  addQuotaCommands(org, context)
}

const orgColumns = (now: number): readonly Column<Org>[] => [
  { title: 'ID', cell: ({ id }) => id },
  { title: 'NAME', cell: ({ name }) => name, shrinks: true },
  { title: 'AGE', cell: ({ createdAt }) => age(createdAt, now) },
]
