/** One structured line a thing that happened. Secrets are redacted here, whoever hands them over. */
import { inspect } from 'node:util'
import { type Logger, pino } from 'pino'
import { withoutSecrets } from '../domain/audit/secrets.ts'

const SECRET_FIELDS = [
  'token',
  'authorization',
  'password',
  'key',
  'secret',
  'headers.authorization',
  '*.token',
  '*.password',
]

/** Of an error what helps to find it: some libraries hang half of their state on one, values of rows among it. */
const errorFields = (error: unknown): object => {
  if (!(error instanceof Error)) return { message: typeof error === 'string' ? error : inspect(error, { depth: 1 }) }
  const { code } = error as { code?: unknown }
  return { name: error.name, message: error.message, ...(code === undefined ? {} : { code }), stack: error.stack }
}

export const createLog = (level: string): Logger =>
  pino({
    level,
    redact: { paths: SECRET_FIELDS, censor: '[redacted]' },
    base: { pid: process.pid },
    serializers: { err: errorFields },
    hooks: { streamWrite: withoutSecrets },
  })
