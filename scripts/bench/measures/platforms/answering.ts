/** Whether what was started answers over HTTP, looked at as often as a script can. */
import { setTimeout as wait } from 'node:timers/promises'
import { probeHttp } from '../../../../agents/runtime/probe.ts'
import type { Bench } from '../../bench.ts'

const PROBE_EVERY_MS = 10
/** Short: what is sent before a new Service is known on its node is lost, and would be sent again after seconds. */
const PROBE_MS = 200
const ANSWERS_WITHIN_MS = 120_000

export type Answering = (host: string, port: number) => Promise<void>

/** Rejects in time, and when the measure is being stopped. */
export const answering = (bench: Bench): Answering => {
  let over = false
  bench.ends('looks at ports', async () => {
    over = true
  })
  return async (host, port) => {
    for (const until = performance.now() + ANSWERS_WITHIN_MS; ; await wait(PROBE_EVERY_MS)) {
      const answer = await probeHttp(host, port, '/', PROBE_MS)
      if (answer.kind === 'answered') return
      if (over || performance.now() > until) throw new Error(`${host}:${port} does not answer: ${answer.why}`)
    }
  }
}
