/**
 * `node drop-privileges.ts <uid> <program> <argument…>`: gives up root for good and becomes the program. For
 * machines without setpriv(1). Signals that Node ignores (SIGPIPE, SIGXFSZ) stay ignored in the program.
 */
const [uidText = '', program = '', ...programArguments] = process.argv.slice(2)
const uid = Number(uidText)
if (!Number.isInteger(uid) || uid <= 0 || program === '') process.exit(126)
process.setgroups?.([])
process.setgid?.(uid)
process.setuid?.(uid)
if (process.getuid?.() !== uid || process.geteuid?.() !== uid || process.getgid?.() !== uid) process.exit(126)
process.execve?.(program, [program, ...programArguments], { PATH: process.env.PATH ?? '' })
process.exit(126)
