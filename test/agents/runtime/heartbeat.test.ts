import { expect } from 'chai'
import { startHeartbeats } from '../../../agents/runtime/heartbeat.ts'
import { eventually } from '../../support/eventually.ts'

const HOUR_MS = 3_600_000

describe('heartbeats', () => {
  const stops: (() => void)[] = []
  afterEach(() => {
    for (const stop of stops.splice(0)) stop()
  })
  const beating = (intervalMs: number) => {
    const beats: number[] = []
    const heartbeats = startHeartbeats(() => beats.push(performance.now()), intervalMs)
    stops.push(heartbeats.stop)
    return { beats, ...heartbeats }
  }

  it('go out with the answer to a ping, and not twice in half an interval', () => {
    const { beats, pinged } = beating(HOUR_MS)
    pinged()
    expect(beats).to.have.length(1)
    pinged()
    expect(beats).to.have.length(1)
  })

  it('go out by themselves where no ping comes', async () => {
    const began = performance.now()
    const { beats } = beating(20)
    await eventually(() => expect(beats.length).to.be.at.least(3))
    // Timers come late, not early.
    expect((beats[2] ?? 0) - began).to.be.at.least(55)
  })

  it('go on when pings have stopped', async () => {
    const { beats, pinged } = beating(20)
    pinged()
    await eventually(() => expect(beats.length).to.be.at.least(3))
  })

  it('end', async () => {
    const { beats, pinged, stop } = beating(10)
    stop()
    pinged()
    const other = beating(10)
    await eventually(() => expect(other.beats.length).to.be.at.least(3))
    expect(beats).to.deep.equal([])
  })
})
