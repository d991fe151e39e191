/**
 * The script by which a session's own user becomes its command. The environment travels in this file and not
 * through the shim: what a session may choose (LD_PRELOAD) must not meet the agent's rights, and arguments
 * are for everyone on the machine to read.
 */
import type { Environment } from './environment.ts'

export const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`

/**
 * Names that one shell or the other keeps for itself: they go to the command past it. These values are seen
 * among the arguments of env(1) for an instant; none of these names is one for a secret.
 */
const KEPT_BY_SHELLS =
  /^(BASH.*|DIRSTACK|E?UID|FUNCNAME|GROUPS|HIST.*|IFS|LANG.*|LC_.*|LINENO|OLDPWD|OPTARG|OPTIND|OPTERR|PPID|PS[0-9]|PWD|RANDOM|SECONDS|SHELLOPTS|SHLVL|_)$/

/** What shells add by themselves. */
const ADDED_BY_SHELLS = ['PWD', 'OLDPWD', 'SHLVL', '_']

export type Launch = {
  readonly home: string
  readonly environment: Environment
  /** As it is written in the template. */
  readonly command: readonly string[]
  /** The program's absolute path. */
  readonly program: string
}

export const launchScript = ({ home, environment, command, program }: Launch): string => {
  const entries = Object.entries(environment)
  const kept = entries.filter(([name]) => KEPT_BY_SHELLS.test(name))
  const exported = entries.filter(([name]) => !KEPT_BY_SHELLS.test(name))
  const [name = '', ...programArguments] = command
  // env(1) would take these for an option or a variable.
  const first = name.startsWith('-') || name.includes('=') ? program : name
  const parts = [
    ...ADDED_BY_SHELLS.flatMap((added) => ['-u', added]),
    ...kept.map(([variable, value]) => quoted(`${variable}=${value}`)),
    ...(first.includes('=') ? ['/bin/sh', '-c', quoted('exec "$0" "$@"')] : []),
    ...[first, ...programArguments].map(quoted),
  ]
  return [
    'umask 022',
    `cd ${quoted(home)} || exit 126`,
    // When memory runs out on the machine, sessions go before the agent and the database.
    '{ echo 300 >/proc/self/oom_score_adj; } 2>/dev/null',
    ...exported.map(([variable, value]) => `export ${variable}=${quoted(value)}`),
    `exec /usr/bin/env ${parts.join(' ')}`,
    '',
  ].join('\n')
}
