/** Starts a session's command: everything that has to be on disk before, in the order a crash allows. */
import { randomUUID } from 'node:crypto'
import type { Exit } from '../runtime/exit.ts'
import { environmentFor, findCommand, processCommand } from './environment.ts'
import { findFreePorts } from './free-ports.ts'
import { launchScript } from './launch-script.ts'
import { outputSize } from './output-log.ts'
import { giveHome, makeFolders, makeHome } from './session-files.ts'
import { type Life, type Surroundings, save } from './session-life.ts'
import { begin, prepareRun } from './workload.ts'

/** It cannot be started, and trying again would not change that. */
export type Refusal = { readonly reason: string; readonly message: string; readonly exit: Exit | null }

/** A session from the days when the agent was not root must not run as root now. */
const userFor = async (around: Surroundings, life: Life): Promise<number | null> => {
  if (life.record.uid !== null || around.uids === null) return life.record.uid
  const uid = await around.uids.allocate(life.files.dir)
  await save(life, { uid })
  await giveHome(life.files, uid)
  return uid
}

export const launch = async (around: Surroundings, life: Life): Promise<Refusal | null> => {
  const { host, settings, step } = around
  const { desired } = life.record
  const instance = randomUUID()
  await makeFolders(host, life.files)
  await makeHome(life.files, await userFor(around, life))
  await prepareRun(life.files, instance)
  await step('run_prepared')
  const ports = await findFreePorts(
    settings.bindHost,
    (desired.spec.ports ?? []).map(({ name }) => name),
    life.record.ports,
    around.portsTaken(life),
  )
  const run = {
    instance,
    hostEpoch: host.hostEpoch,
    startedAt: new Date().toISOString(),
    outputFrom: await outputSize(life.files),
    incarnation: desired.incarnation,
    shim: null,
    command: null,
    readyAt: null,
    ending: null,
    discarded: false,
  }
  await save(life, { ports, run, phase: 'up' })
  await step('run_recorded')
  const { record } = life
  const environment = environmentFor(host, settings.bindHost, record)
  const command = processCommand(host, record)
  const name = command[0] ?? ''
  const program = await findCommand(name, environment, record.home)
  if (program === null)
    return { reason: 'exited_early', message: `command not found: ${name}`, exit: { kind: 'code', code: 127 } }
  const script = launchScript({ home: record.home, environment, command, program })
  life.workload = await begin(host, life.files, { ...record, run }, script)
  await step('begun')
  return null
}
