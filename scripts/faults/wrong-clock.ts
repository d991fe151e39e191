/** Loaded before a program (`--import`): its wall clock is wrong by FAULTS_CLOCK_SHIFT_MS. Timers are not touched. */
const shiftMs = Number(process.env.FAULTS_CLOCK_SHIFT_MS ?? 0)
const RightDate = Date

globalThis.Date = class extends RightDate {
  constructor(...given: readonly unknown[]) {
    if (given.length === 0) super(RightDate.now() + shiftMs)
    else super(...(given as [number]))
  }

  static override now(): number {
    return RightDate.now() + shiftMs
  }
} as DateConstructor

export {}
