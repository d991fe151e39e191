/**
 * The shim: a shell that starts a session's command, waits for it and writes down how it ended. It outlives
 * the agent, has the agent's rights and runs nothing of a session's with them. The command gets a process
 * group of its own, so that a signal to all of the session leaves the shim to tell of it.
 *
 * In the folder of a run, its working directory:
 *   shim    `<pid> <start>` of the shim, written first
 *   begun   whoever makes it, shim or agent, decides whether the command runs: never twice, and never after
 *           an agent has found that it did not begin
 *   pid     `<pid> <start>` of the command, written before it is one
 *   exit    the status as a shell says it; made beforehand, filled in place, so that a full disk cannot hide how a session ended
 * All are single writes of a line: without its end of line a file is not there yet.
 */
import { link, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { hasProc, type Identity, rowOfStat } from './process-table.ts'

/** What a shim is called among the arguments of its process, for people who look. */
export const SHIM_NAME = 'streamspace-session'

const WHO = `who() {
  if [ -r /proc/self/stat ]; then IFS= read -r line </proc/$1/stat
  else line=$(LC_ALL=C TZ=UTC ps -o lstart= -p "$1"); fi
  printf '%s %s\n' "$1" "$line"
}
umask 077
`

// Arguments: the name above, the session, setsid or nothing, then the command line that becomes the session's command.
const SHIM = `exec 3<>exit 4>&2 2>/dev/null
${WHO}
# Signals meant for the session must not end the one who tells of it; the command gets none of these traps.
trap : HUP INT QUIT TERM
who $$ >shim
(set -C; : >begun) || exit 0
setsid=$3
shift 3
[ -n "$setsid" ] || set -m
# In a subshell, or what this shell says of a signal would go where the command writes.
(exec $setsid /bin/sh begin.sh "$@" 2>&4 3>&- 4>&-)
code=$?
printf '%-15s\n' "$code" >&3
`

const BEGIN = `${WHO}
who $$ >pid
exec "$@"
`

const NOT_YET = `${' '.repeat(15)}\n`

/**
 * What has to be in the folder of a run. The scripts too: a shell reads its script as it goes, and one that
 * is part of the program could change under it with the next version.
 */
export const prepareRunDir = async (runDir: string): Promise<void> => {
  await mkdir(runDir, { mode: 0o700 })
  const files = { exit: NOT_YET, 'shim.sh': SHIM, 'begin.sh': BEGIN }
  for (const [name, text] of Object.entries(files)) await writeFile(join(runDir, name), text, { mode: 0o600 })
}

const readLine = async (path: string): Promise<string | null> => {
  const text = await readFile(path, 'utf8').catch(() => '')
  const end = text.indexOf('\n')
  return end < 0 ? null : text.slice(0, end)
}

const readIdentity = async (path: string): Promise<Identity | null> => {
  const line = await readLine(path)
  const [, pid = '', rest = ''] = /^(\d+) (.*)$/.exec(line ?? '') ?? []
  if (pid === '') return null
  const start = hasProc ? rowOfStat(rest)?.start : rest.trim().replaceAll(/\s+/g, ' ')
  return start === undefined || start === '' ? null : { pid: Number(pid), start }
}

export const readShim = (runDir: string): Promise<Identity | null> => readIdentity(join(runDir, 'shim'))
export const readCommand = (runDir: string): Promise<Identity | null> => readIdentity(join(runDir, 'pid'))

/** The status as a shell says it, or null: it has not ended, or nobody was left to write it down. */
export const readExitStatus = async (runDir: string): Promise<number | null> => {
  const line = (await readLine(join(runDir, 'exit')))?.trim()
  return line !== undefined && /^\d+$/.test(line) ? Number(line) : null
}

/** What the file says when an agent made it; a shim leaves it empty. */
const FORESTALLED = 'not to begin\n'

/** Makes sure that this run's command never begins, unless it has. */
export const forestall = async (runDir: string): Promise<'forestalled' | 'begun'> => {
  const begun = join(runDir, 'begun')
  const mine = `${begun}.agent`
  try {
    await writeFile(mine, FORESTALLED, { mode: 0o600 })
    await link(mine, begun)
    return 'forestalled'
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') return 'forestalled'
    if (code !== 'EEXIST') throw error
    return (await readFile(begun, 'utf8')) === FORESTALLED ? 'forestalled' : 'begun'
  }
}
