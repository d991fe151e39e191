/**
 * Which fault comes when: fixed by the seed. Kinds are dealt like cards, all of them before any comes again, so
 * that every kind has its share in a run of any length.
 */
import { type Random, randomOf } from './random.ts'

export const faultKinds = [
  'server killed',
  'server stopped',
  'server replaced',
  'agent killed',
  'agent stopped',
  'agent away',
  'agent killed with news',
  'clock wrong',
  'disk full',
  'postgres killed',
  'cut within command',
  'cut before ack',
  'cut after ack',
  'cut after apply',
  'cut before result',
  'cut after result',
  'command lost',
  'delayed',
  'throttled',
  'half-open',
  're-chunked',
  'clients cut',
  'clients delayed',
  'wakes lost',
  'zombie server',
  'restored',
] as const

export type FaultKind = (typeof faultKinds)[number]

export type Dealt = {
  readonly kind: FaultKind
  /** Chooses the victim and how long it lasts; its own stream, so that what happens to one fault shifts no other. */
  readonly random: Random
  /** After the one before it. */
  readonly pauseMs: number
}

/** Faults without end. */
export const deal = function* (
  seed: number,
  kinds: readonly FaultKind[],
  pace: { readonly fromMs: number; readonly toMs: number },
): Generator<Dealt> {
  const order = randomOf(seed, 'faults')
  for (let number = 0; ; )
    for (const kind of order.shuffled(kinds)) {
      yield { kind, random: randomOf(seed, `fault ${number}`), pauseMs: order.between(pace.fromMs, pace.toMs) }
      number += 1
    }
}
