/** Templates that tests need and people do not. */
import { chmod, mkdir, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import type { Rest } from './rest.ts'

const aTemplate = (name: string, command: readonly string[], more: object = {}) => ({
  name,
  displayName: name,
  resources: { cpuMillis: 1, memoryMib: 32 },
  spec: { process: { command }, ...more },
})

const shell = (script: string): readonly string[] => ['/bin/sh', '-c', script]

/** Runs until it is ended. Every start of it writes a line, its pid, into the folder STARTS, one file a session. */
export const counted = aTemplate('counted', shell('echo $$ >> "$STARTS/$STREAMSPACE_SESSION_ID"; exec sleep 86400'), {
  stopGraceSeconds: 1,
})

/** Writes 10 MiB once the file `go` is in its home, then goes on. */
export const talkative = aTemplate(
  'talkative',
  shell(
    'trap "" PIPE; until [ -e go ]; do sleep 0.05; done; yes "0123456789abcdef" | head -c 10485760; : > done; exec sleep 86400',
  ),
  { stopGraceSeconds: 1 },
)

/** Ends at SIGKILL and at nothing less: a shell that ignores SIGTERM and waits for a sleep, which it starts again. */
export const deaf = aTemplate('deaf', shell('trap "" TERM; exec sh -c "sleep 86400; true"'), { stopGraceSeconds: 60 })

/** Never opens its port. */
export const mute = aTemplate('mute', ['sleep', '86400'], {
  ports: [{ name: 'http' }],
  startTimeoutSeconds: 1,
  stopGraceSeconds: 1,
})

export const absent = aTemplate('absent', ['no-such-command-anywhere'])

/** Fails at once, having said why. */
export const failing = aTemplate('failing', shell('echo the disk is made of cheese; exit 3'), {
  ports: [{ name: 'http' }],
})

/** Tries to read each of PATHS, and to end VICTIM, and says in the folder REPORTS how that went. */
export const snoop = aTemplate(
  'snoop',
  shell(`
report="$REPORTS/.$STREAMSPACE_SESSION_ID"
{
  echo x > "$HOME/mine" && echo "own home: written"
  for path in $PATHS; do
    if cat "$path" >/dev/null 2>&1 || ls "$path/" >/dev/null 2>&1; then echo "read $path"
    else echo "refused $path"; fi
  done
  if kill -9 "$VICTIM" 2>/dev/null; then echo "kill: done"; else echo "kill: refused"; fi
} > "$report"
mv "$report" "$REPORTS/$STREAMSPACE_SESSION_ID"
exec sleep 86400`),
  { stopGraceSeconds: 1 },
)

/** Idles until it is ended: what can be killed. */
export const idle = aTemplate('idle', shell('echo here I am; exec sleep 86400'), { stopGraceSeconds: 1 })

export const putTemplate = async (api: Rest, template: object): Promise<void> => {
  const { status, body } = await api.post('/templates', template)
  expect(status, JSON.stringify(body)).to.be.oneOf([200, 201])
}

/** Where sessions of `counted` write, whichever user they run as. */
export const startsFolder = async (folder: string): Promise<string> => {
  const path = join(folder, 'starts')
  await mkdir(path)
  await chmod(path, 0o1777)
  return path
}

/** Of each session the pids with which it was started, in order. */
export const startsIn = async (folder: string): Promise<ReadonlyMap<string, readonly number[]>> =>
  new Map(
    await Promise.all(
      (await readdir(folder)).map(
        async (id) =>
          [id, (await readFile(join(folder, id), 'utf8')).trim().split('\n').map(Number)] as [string, number[]],
      ),
    ),
  )
