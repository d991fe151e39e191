/** How a command ended, and how that is said. */
import { constants } from 'node:os'
import type { WireObserved } from '../protocol.ts'

export type Exit =
  | { readonly kind: 'code'; readonly code: number }
  | { readonly kind: 'signal'; readonly signal: string }
  /** Command and shim are gone and nobody wrote down why: as a rule both were killed. */
  | { readonly kind: 'unknown' }
  /** The machine (or the container that the agent runs in) was started anew. */
  | { readonly kind: 'host_restarted' }

/** Why the agent itself ended it: the exit alone would look like somebody's kill. */
export type Ending = { readonly reason: string; readonly message: string }

/** By the kernel, at the limit of its container. */
export const outOfMemory = (memoryMib: number): Ending => ({
  reason: 'out_of_memory',
  message: `the session used more than its ${memoryMib} MiB of memory, and was ended`,
})

const signalNames = new Map(Object.entries(constants.signals).map(([name, number]) => [number, name]))

/** A shell says 128 + n of a program that signal n ended. */
export const exitOf = (status: number): Exit => {
  const signal = status > 128 ? signalNames.get((status - 128) as never) : undefined
  return signal === undefined ? { kind: 'code', code: status } : { kind: 'signal', signal }
}

export const succeeded = (exit: Exit): boolean => exit.kind === 'code' && exit.code === 0

const codesOfShells: { readonly [code: number]: string } = {
  126: ' (it could not be run)',
  127: ' (a command was not found)',
}

export const describeExit = (exit: Exit): string => {
  switch (exit.kind) {
    case 'code':
      return `ended with exit code ${exit.code}${codesOfShells[exit.code] ?? ''}`
    case 'signal':
      return `was ended by ${exit.signal}`
    case 'unknown':
      return 'was killed together with its shim; how is not known'
    case 'host_restarted':
      return 'ended when the machine was restarted'
  }
}

export const exitFields = (exit: Exit): Pick<WireObserved, 'exitCode' | 'exitSignal'> => {
  switch (exit.kind) {
    case 'code':
      return { exitCode: exit.code, exitSignal: null }
    case 'signal':
      return { exitCode: null, exitSignal: exit.signal }
    case 'unknown':
      return { exitCode: null, exitSignal: 'SIGKILL' }
    case 'host_restarted':
      return { exitCode: null, exitSignal: null }
  }
}
