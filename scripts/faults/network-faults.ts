/** Faults of connections: what passes between agents and servers, and between clients and servers. */
import type { Moment } from './agents.ts'
import type { FaultKind } from './deck.ts'
import { longerThanSilence } from './intervals.ts'
import type { Weather } from './proxy.ts'
import type { Random } from './random.ts'
import { type Stage, whenBusy } from './stage.ts'

type Fault = (stage: Stage, random: Random) => Promise<void>

const STRIKE_WITHIN_MS = 6_000

const struckAt =
  (kind: FaultKind, moment: Moment): Fault =>
  async (stage, random) => {
    const agent = stage.victims.agent(random)
    if (agent === null) return
    try {
      // Without a command in time there was nothing to strike, and no fault.
      if (await agent.strike(moment, STRIKE_WITHIN_MS)) stage.struck(kind, true)
    } finally {
      stage.victims.free(agent.id)
    }
  }

const badWeather =
  (kind: FaultKind, weather: (random: Random) => Weather, lastsMs: (stage: Stage, random: Random) => number): Fault =>
  async (stage, random) => {
    const agent = stage.victims.agent(random)
    if (agent === null) return
    try {
      const before = await whenBusy(agent.inFlight)
      const now = weather(random)
      agent.proxy.weather(now)
      const lasts = lastsMs(stage, random)
      await stage.wait(Math.min(lasts, 500))
      stage.struck(kind, before || agent.inFlight() > 0)
      await stage.wait(Math.max(0, lasts - 500))
      // What was swallowed is missing from the stream: nothing after it would be understood.
      if (now.swallow) for (const line of agent.proxy.lines()) line.cut()
    } finally {
      agent.proxy.weather({})
      stage.victims.free(agent.id)
    }
  }

const someSeconds = (_stage: Stage, random: Random): number => random.between(1_500, 4_000)

const clientsCut: Fault = async (stage, random) => {
  const replica = random.pick(stage.replicas)
  if (replica === undefined) return
  for (let times = random.between(3, 10); times > 0; times -= 1) {
    const lines = replica.proxy.lines()
    if (lines.length > 0) stage.struck('clients cut', true)
    for (const line of lines) line.cut()
    if (lines.length > 0) return
    await stage.wait(30)
  }
}

const clientsDelayed: Fault = async (stage, random) => {
  const replica = random.pick(stage.replicas)
  if (replica === undefined || !stage.victims.one('clients')) return
  try {
    replica.proxy.weather({ delayMs: random.between(200, 1_200) })
    await stage.wait(500)
    stage.struck('clients delayed', replica.proxy.lines().length > 0)
    await stage.wait(random.between(1_000, 3_000))
  } finally {
    replica.proxy.weather({})
    stage.victims.free('clients')
  }
}

export const networkFaults = {
  'cut within command': struckAt('cut within command', 'within the command'),
  'cut before ack': struckAt('cut before ack', 'before the ack'),
  'cut after ack': struckAt('cut after ack', 'after the ack'),
  'cut after apply': struckAt('cut after apply', 'after the apply'),
  'cut before result': struckAt('cut before result', 'before the result'),
  'cut after result': struckAt('cut after result', 'after the result'),
  'command lost': struckAt('command lost', 'lost'),
  delayed: badWeather('delayed', (random) => ({ delayMs: random.between(100, 900) }), someSeconds),
  throttled: badWeather('throttled', (random) => ({ throttle: random.between(1_000, 20_000) }), someSeconds),
  're-chunked': badWeather('re-chunked', (random) => ({ chunk: random.between(1, 40) }), someSeconds),
  'half-open': badWeather(
    'half-open',
    () => ({ swallow: true }),
    (stage, random) => longerThanSilence(stage.intervals) + random.between(0, 1_000),
  ),
  'clients cut': clientsCut,
  'clients delayed': clientsDelayed,
} as const satisfies { readonly [K in FaultKind]?: Fault }
