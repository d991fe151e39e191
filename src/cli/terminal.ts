/** Where the program writes: results to stdout, everything else to stderr. */
import { coloured, type Paint, plain } from './colour.ts'
import { harmless } from './text-width.ts'

export type Terminal = {
  readonly out: (text: string) => void
  readonly json: (value: unknown) => void
  /** For people: errors, notes, what to do next. */
  readonly note: (text: string) => void
  /** How tables are to look on stdout. */
  readonly look: { readonly width: number | null; readonly paint: Paint }
  /** Whether a line that changes may be shown: only when a person looks at both. */
  readonly interactive: boolean
  /** Shows one line in the place of the last; null takes it away. */
  readonly progress: (line: string | null) => void
  readonly errorWidth: number
}

const DEFAULT_WIDTH = 80
const TO_LINE_START = '\r'
const CLEAR_TO_END = '\x1b[K'

export const processTerminal = (
  environment: NodeJS.ProcessEnv,
  { stdout, stderr }: Pick<NodeJS.Process, 'stdout' | 'stderr'> = process,
): Terminal => {
  const isTerminal = stdout.isTTY === true
  const noColour = environment.NO_COLOR !== undefined && environment.NO_COLOR !== ''
  const dumb = environment.TERM === 'dumb'
  return {
    out: (text) => void stdout.write(`${text}\n`),
    json: (value) => void stdout.write(`${JSON.stringify(value, null, 2)}\n`),
    note: (text) => void stderr.write(`${harmless(text)}\n`),
    look: {
      width: isTerminal ? stdout.columns || DEFAULT_WIDTH : null,
      paint: isTerminal && !noColour && !dumb ? coloured : plain,
    },
    interactive: isTerminal && stderr.isTTY === true && !dumb,
    progress: (line) => void stderr.write(`${TO_LINE_START}${line ?? ''}${CLEAR_TO_END}`),
    errorWidth: stderr.columns || DEFAULT_WIDTH,
  }
}

/**
 * A reader that has seen enough (`| head`) is no failure: the program ends quietly. Returns how to go on
 * instead, for commands that do their work whether or not anyone reads what they print.
 */
export const endQuietlyOnClosedPipe = ({ stdout, stderr }: Pick<NodeJS.Process, 'stdout' | 'stderr'>): (() => void) => {
  let ends = true
  const onError = (error: NodeJS.ErrnoException): void => {
    if (error.code !== 'EPIPE') throw error
    if (ends) process.exit()
  }
  stdout.on('error', onError)
  stderr.on('error', onError)
  return () => {
    ends = false
  }
}
