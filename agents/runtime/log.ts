/** What the runtime needs of a logger; pino is one. Handed in from outside, so that the runtime knows no logger. */
type Write = (details: object, message: string) => void

export type Log = { readonly debug: Write; readonly info: Write; readonly warn: Write; readonly error: Write }

/** What went wrong, in one line: for logs and for `error.message` of a result. */
export const messageOf = (error: unknown): string =>
  error instanceof Error ? error.message || error.name : String(error)
