/** The server's own acts, as jobs: for those who run the installation. */
import type { Command } from 'commander'
import { type JobState, jobStates } from '../../domain/ports/jobs.ts'
import type { Job, Queue } from '../api/job.ts'
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
  withListOptions,
  wordsOf,
} from './options.ts'
import { showList } from './show-list.ts'
import type { Column } from './table.ts'

type JobListOptions = ListOptions & { readonly state?: readonly JobState[] }

export const addJobCommands = (program: Command, context: Context): void => {
  const { terminal } = context
  const job = program.command('job').description('what the server does by itself, as jobs; installation keys only')

  withListOptions(
    job
      .command('list')
      .description('list queues with their counts, or the jobs of one, newest first')
      .argument('[queue]', 'name of a queue', nonEmpty)
      .option('--state <state>', `of a queue: one or several with commas: ${jobStates.join(', ')}`, wordsOf(jobStates)),
    50,
  ).action(async (queue: string | undefined, options: JobListOptions, command: Command) => {
    const { state } = options
    if (queue === undefined) {
      if (state !== undefined) command.error('error: --state needs the name of a queue')
      const queues = await (await context.client()).jobs.queues(limitOf(options))
      return showList(terminal, 'queues', queues, queueColumns(Date.now()), options)
    }
    const listed = await (await context.client()).jobs.list(queue, defined({ state }), limitOf(options))
    showList(terminal, 'jobs', listed, jobColumns(Date.now()), options)
  })

  job
    .command('retry')
    .description('run a failed job again')
    .argument('<queue>', 'name of its queue', nonEmpty)
    .argument('<id>', 'id of the job', uuid)
    .addOption(jsonOption())
    .action(async (queue: string, id: string, { json }: JsonOption) => {
      const retried = await (await context.client()).jobs.retry(queue, id)
      if (json) terminal.json(retried)
      else terminal.out(`job ${id} of ${queue} is ${retried.state}`)
    })
}

const queueColumns = (now: number): readonly Column<Queue>[] => [
  { title: 'QUEUE', cell: ({ name }) => name },
  { title: 'WAITING', cell: ({ counts }) => String(counts.created + counts.retry) },
  { title: 'ACTIVE', cell: ({ counts }) => String(counts.active) },
  { title: 'COMPLETED', cell: ({ counts }) => String(counts.completed) },
  {
    title: 'FAILED',
    cell: ({ counts }) => String(counts.failed),
    colour: ({ counts }) => (counts.failed > 0 ? 'red' : 'gray'),
  },
  { title: 'OLDEST', cell: ({ oldestWaitingAt }) => (oldestWaitingAt === null ? null : age(oldestWaitingAt, now)) },
]

const jobColumns = (now: number): readonly Column<Job>[] => [
  { title: 'ID', cell: ({ id }) => id },
  {
    title: 'STATE',
    cell: ({ state }) => state,
    colour: ({ state }) => (state === 'completed' ? 'green' : state === 'failed' ? 'red' : 'yellow'),
  },
  { title: 'AGE', cell: ({ createdAt }) => age(createdAt, now) },
  { title: 'DATA', cell: ({ data }) => shown(data), shrinks: true },
  { title: 'OUTPUT', cell: ({ output }) => shown(output), shrinks: true },
]

/** Of an error its message; the rest is with --json. */
const shown = (value: Job['data']): string | null => {
  if (value === null || Object.keys(value).length === 0) return null
  return typeof value.message === 'string' ? value.message : JSON.stringify(value)
}
