/** This whole process waits for its turn, as on a busy machine: timers become due, and what arrives is not read. */
export const standStill = (ms: number): void => {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
}
