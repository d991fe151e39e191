/**
 * What SIGTERM and SIGINT mean, from the first moment of the program. While it is still being read nothing has been
 * started, so it ends at once and in order. A service takes the signals over (`stop-signal.ts`) without a gap: one
 * that arrives while modules are evaluated is heard only afterwards, by whoever listens then. A command that has
 * nothing to end gives them back, and is ended by them as any program is.
 */
const signals = ['SIGTERM', 'SIGINT'] as const

let heard: (signal: NodeJS.Signals) => void = () => process.exit(0)

const hear = (signal: NodeJS.Signals): void => heard(signal)

export const endUntilStarted = (): void => {
  for (const signal of signals) process.on(signal, hear)
}

export const hearSignals = (listener: (signal: NodeJS.Signals) => void): void => {
  heard = listener
  for (const signal of signals) if (!process.listeners(signal).includes(hear)) process.on(signal, hear)
}

/** Signals mean what they mean to any program again. What has arrived by now is heard first. */
export const giveSignalsBack = async (): Promise<void> => {
  await new Promise((resolve) => setImmediate(resolve))
  for (const signal of signals) process.off(signal, hear)
}
