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
 *   exit    made beforehand, filled in place, so that a full disk cannot hide how a session ended
 * All are single writes of a line: without its end of line a file is not there yet.
 */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { hasProc, type Identity, rowOfStat } from './process-table.ts'

/** Where the shim's arguments begin: how the process table is searched for it. */
export const SHIM_NAME = 'streamspace-session'

// $1 session, $2 instance, $3 setsid or empty, then the command line that becomes the session's command.
const WHO = `who() {
  if [ -r /proc/self/stat ]; then IFS= read -r line </proc/$1/stat
  else line=$(LC_ALL=C TZ=UTC ps -o lstart= -p "$1"); fi
  printf '%s %s\\n' "$1" "$line"
}
umask 077`

const BEGIN = `${WHO}
who $$ >pid
exec "$@"`

export const SHIM = `exec 3<>exit 4>&2 2>/dev/null
${WHO}
# Signals meant for the session must not end the one who tells of it; the command gets none of these traps.
trap : HUP INT QUIT TERM
who $$ >shim
(set -C; : >begun) || exit 0
setsid=$3
shift 3
if [ -n "$setsid" ]; then
  "$setsid" /bin/sh -c '${BEGIN.replaceAll("'", `'\\''`)}' ${SHIM_NAME} "$@" 2>&4 3>&- 4>&-
else
  set -m
  /bin/sh -c '${BEGIN.replaceAll("'", `'\\''`)}' ${SHIM_NAME} "$@" 2>&4 3>&- 4>&-
fi
code=$?
printf '%-15s\\n' "$code" >&3
`

const NOT_YET = `${' '.repeat(15)}\n`

export const prepareExit = (runDir: string): Promise<void> => writeFile(join(runDir, 'exit'), NOT_YET, { mode: 0o600 })

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

/** Makes sure that this run's command never begins, unless it has. */
export const forestall = async (runDir: string): Promise<'forestalled' | 'begun'> => {
  try {
    await writeFile(join(runDir, 'begun'), '', { flag: 'wx', mode: 0o600 })
    return 'forestalled'
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EEXIST') return 'begun'
    if (code === 'ENOENT') return 'forestalled'
    throw error
  }
}
