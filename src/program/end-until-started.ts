/**
 * What a signal means while the program is still being read: nothing has been started, so it ends at once and in
 * order. Whoever has something to end takes the signals over (`stop-signal.ts`); a command that has not (a call
 * that waits for an answer) is ended by them as any program is.
 */
const signals = ['SIGTERM', 'SIGINT'] as const

const end = (): never => process.exit(0)

export const endUntilStarted = (): void => {
  for (const signal of signals) process.on(signal, end)
}

/** From now on signals are somebody else's. */
export const started = (): void => {
  for (const signal of signals) process.off(signal, end)
}
