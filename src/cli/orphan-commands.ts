/** `agent orphans`, `agent approve-orphans` and what else there is about orphans. */
import { type Command, InvalidArgumentError, Option } from 'commander'
import { type OrphanState, orphanStates } from '../../domain/agent/orphan.ts'
import { isUuid } from '../../domain/ids.ts'
import type { AgentEvent, OrgOrphanRemoval, Orphan, OrphanRemoval } from '../api/orphan.ts'
import { age, timeWithAge } from './age.ts'
import type { Context } from './context.ts'
import { defined } from './defined.ts'
import {
  type JsonOption,
  jsonOption,
  type ListOptions,
  limitOf,
  nonEmpty,
  withListOptions,
  wordsOf,
} from './options.ts'
import { showList } from './show-list.ts'
import { type Column, renderFields, renderTable } from './table.ts'

type RemovalOptions = JsonOption & { readonly org?: string; readonly halt?: true; readonly resume?: true }

export const addOrphanCommands = (
  agent: Command,
  context: Context,
  id: { readonly description: string; readonly parse: (text: string) => string },
): void => {
  const { terminal } = context

  withListOptions(
    agent
      .command('orphans')
      .description('list what an agent has that is no session of its own here')
      .argument('<id>', id.description, id.parse)
      .option(
        '--state <state>',
        `one or several with commas: ${orphanStates.join(', ')} (default: those that are there now)`,
        wordsOf(orphanStates),
      ),
    50,
  ).action(async (agentId: string, options: ListOptions & { readonly state?: readonly OrphanState[] }) => {
    const filters = defined({ state: options.state })
    const listed = await (await context.client()).orphans.list(agentId, filters, limitOf(options))
    showList(terminal, 'orphans', listed, orphanColumns(Date.now()), options)
  })

  agent
    .command('approve-orphans')
    .description('remove orphans of an agent, past the brake; what they hold is lost')
    .argument('<id>', id.description, id.parse)
    .argument('[session...]', 'ids of the orphans')
    .option('--all', 'all that are there now')
    .addOption(jsonOption())
    .action(async (agentId: string, sessions: readonly string[], options: JsonOption & { readonly all?: true }) => {
      if ((sessions.length === 0) !== (options.all === true))
        throw new InvalidArgumentError('Name the orphans, or use --all: one of the two.')
      for (const session of sessions)
        if (!isUuid(session))
          throw new InvalidArgumentError(`${session} is no id of an orphan: agent orphans lists them.`)
      const approved = await (await context.client()).orphans.approve(agentId, options.all ? null : sessions)
      if (options.json) terminal.json(approved)
      else terminal.out(`${approved.approved} orphans of agent ${agentId} are being removed`)
    })

  withListOptions(
    agent
      .command('events')
      .description('what happened to an agent’s orphans, oldest first')
      .argument('<id>', id.description, id.parse),
    50,
  ).action(async (agentId: string, options: ListOptions) => {
    const listed = await (await context.client()).orphans.events(agentId, limitOf(options))
    showList(terminal, 'events', listed, eventColumns, options)
  })

  agent
    .command('orphan-removal')
    .description('whether orphans are removed at all; they are not after the database was restored')
    .option('--org <org>', 'of the own agents of this org alone', nonEmpty)
    .addOption(new Option('--halt', 'remove none that is not approved, anywhere or of the org').conflicts('resume'))
    .option('--resume', 'remove them again, everywhere or of the org')
    .addOption(jsonOption())
    .action(async ({ org, halt, resume, json }: RemovalOptions) => {
      const { orphans } = await context.client()
      if (org !== undefined) {
        const removal = await (halt ? orphans.haltOrg(org) : resume ? orphans.resumeOrg(org) : orphans.orgRemoval(org))
        if (json) terminal.json(removal)
        else terminal.out(orgRemovalBlock(removal, Date.now()))
        return
      }
      const removal = await (halt ? orphans.halt() : resume ? orphans.resume() : orphans.removal())
      if (json) return terminal.json(removal)
      terminal.out(removalBlock(removal, Date.now()))
      if (removal.haltedOrgs > 0)
        terminal.out(`\n${renderTable(haltedOrgColumns(Date.now()), removal.orgs, terminal.look)}`)
      if (removal.haltedOrgs > removal.orgs.length)
        terminal.note(`only the first ${removal.orgs.length} of ${removal.haltedOrgs} orgs; --org <org> shows each`)
    })
}

const orphanColumns = (now: number): readonly Column<Orphan>[] => [
  { title: 'SESSION', cell: ({ sessionId }) => sessionId },
  { title: 'STATE', cell: ({ state }) => state },
  { title: 'REASON', cell: ({ reason }) => reason },
  { title: 'STATUS', cell: ({ status }) => status },
  { title: 'GENERATION', cell: ({ generation }) => String(generation) },
  { title: 'SINCE', cell: ({ firstSeenAt }) => age(firstSeenAt, now) },
  { title: 'LAST SEEN', cell: ({ lastSeenAt }) => age(lastSeenAt, now) },
  { title: 'APPROVED BY', cell: ({ approvedBy }) => approvedBy, shrinks: true },
]

const eventColumns: readonly Column<AgentEvent>[] = [
  { title: 'AT', cell: ({ at }) => at },
  { title: 'TYPE', cell: ({ type }) => type },
  { title: 'ACTOR', cell: ({ actor }) => actor, shrinks: true },
  { title: 'DATA', cell: ({ data }) => JSON.stringify(data), shrinks: true },
]

const removalBlock = (removal: OrphanRemoval, now: number): string =>
  renderFields([
    [
      'orphans',
      removal.halted
        ? 'are removed nowhere, unless they are approved'
        : removal.haltedOrgs > 0
          ? 'are removed, as far as the brake allows, but of own agents of the orgs below'
          : 'are removed, as far as the brake allows',
    ],
    ...haltFields(removal, now),
  ])

const orgRemovalBlock = (removal: OrgOrphanRemoval, now: number): string =>
  renderFields([
    ['org', removal.orgId],
    [
      'orphans',
      removal.halted
        ? 'of its own agents are not removed, unless they are approved'
        : 'of its own agents are removed, as far as the brake allows and it is not halted everywhere',
    ],
    ...haltFields(removal, now),
  ])

const haltFields = (
  removal: Omit<OrgOrphanRemoval, 'orgId'>,
  now: number,
): readonly (readonly [string, string | null])[] => [
  ['reason', removal.haltedReason],
  ['halted by', removal.haltedBy],
  ['halted', timeWithAge(removal.haltedAt, now)],
  ['resumed', timeWithAge(removal.resumedAt, now)],
  ['resumed by', removal.resumedBy],
]

const haltedOrgColumns = (now: number): readonly Column<OrphanRemoval['orgs'][number]>[] => [
  { title: 'ORG', cell: ({ orgId }) => orgId },
  { title: 'SINCE', cell: ({ haltedAt }) => age(haltedAt, now) },
  { title: 'HALTED BY', cell: ({ haltedBy }) => haltedBy },
  { title: 'REASON', cell: ({ haltedReason }) => haltedReason, shrinks: true },
]
