/**
 * Commands that are the program itself, not a client of it. What they do is in modules of their own, loaded
 * when they are asked for: a client command starts without a database driver in memory.
 */
import type { Command } from 'commander'
import type { Context } from './context.ts'

/** What still holds the process after an orderly end must not keep it from ending. */
const LINGER_MS = 500

/** A command whose end is the program's, whether or not anyone reads what it prints. */
const longRunning = (command: Command, context: Context, run: () => Promise<void>): Command =>
  command.action(async () => {
    context.goOnWithoutReader()
    try {
      await run()
    } finally {
      setTimeout(() => process.exit(), LINGER_MS).unref()
    }
  })

/** Runs until a signal ends it, in order. */
const services = new WeakSet<Command>()
export const isService = (command: Command): boolean => services.has(command)
export const service = (command: Command, context: Context, run: () => Promise<void>): Command => {
  services.add(command)
  return longRunning(command, context, run)
}

export const addServerCommands = (program: Command, context: Context): void => {
  service(
    program
      .command('dev')
      .description('everything on one machine: database, server and one agent; the same as npm start'),
    context,
    async () => (await import('../dev.ts')).runDev(),
  )
  service(program.command('server').description('one replica of the server'), context, async () =>
    (await import('../run-server.ts')).runServer(),
  )
  longRunning(
    program.command('migrate').description('bring the schema of the database up to date'),
    context,
    async () => (await import('../migrate.ts')).runMigrate(),
  )
  const adminKey = program.command('admin-key').description('the installation key')
  longRunning(
    adminKey.command('reset').description('make a new installation key and end the earlier ones'),
    context,
    async () => (await import('../admin-key.ts')).runAdminKeyReset(),
  )
  const secretKey = program.command('secret-key').description('the key that secrets are sealed under')
  longRunning(
    secretKey.command('reseal').description('seal anew what is sealed under an earlier key'),
    context,
    async () => (await import('../secret-key-reseal.ts')).runSecretKeyReseal(),
  )
}
