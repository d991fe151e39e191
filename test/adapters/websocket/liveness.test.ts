import { expect } from 'chai'
import type { Connection } from '../../../adapters/websocket/connection.ts'
import { createLiveness } from '../../../adapters/websocket/liveness.ts'
import { virtualTime } from './support/virtual-time.ts'

const INTERVAL = 1_000

const someSockets = () => {
  const time = virtualTime()
  const liveness = createLiveness(INTERVAL, time)
  const add = () => {
    const said = {
      pings: 0,
      endedAt: null as number | null,
      code: 0,
      beatAt: time.now(),
      stalledSince: null as number | null,
      looks: 0,
      filled: () => liveness.filled(connection),
    }
    const connection = {
      socket: {
        ping: () => {
          said.pings += 1
        },
        end: (code: number) => {
          said.code = code
          said.endedAt = time.now()
          liveness.remove(connection)
        },
        terminate: () => {
          said.endedAt = time.now()
          liveness.remove(connection)
        },
        readSince: () => 0,
      },
      lane: {
        stalledSince: () => {
          said.looks += 1
          return said.stalledSince
        },
      },
      lastHeartbeatAt: () => said.beatAt,
    } as unknown as Connection
    liveness.add(connection)
    return said
  }
  return { time, liveness, add }
}

/** Lets so many intervals pass in which all of these beat. */
const setBeats =
  (time: ReturnType<typeof virtualTime>, all: readonly { beatAt: number }[]) =>
  async (intervals: number): Promise<void> => {
    for (let count = 0; count < intervals; count++) {
      await time.pass(INTERVAL)
      for (const said of all) said.beatAt = time.now()
    }
  }

describe('the liveness of sockets', () => {
  it('is kept with one timer, and none when there is no socket', async () => {
    const { time, liveness, add } = someSockets()
    expect(time.timers()).to.equal(0)
    const sockets = Array.from({ length: 100 }, add)
    expect(time.timers()).to.equal(1)
    await time.pass(INTERVAL)
    expect(sockets.map((said) => said.pings)).to.deep.equal(sockets.map(() => 1))
    await time.pass(7 * INTERVAL)
    expect(time.timers()).to.equal(0)
    liveness.stop()
  })

  it('ends after six intervals of silence, a quarter of one late at most', async () => {
    const { time, add } = someSockets()
    const sockets = Array.from({ length: 16 }, add)
    await time.pass(7 * INTERVAL)
    for (const said of sockets) {
      expect(said.code).to.equal(4008)
      expect(said.endedAt).to.be.within(6 * INTERVAL, 6.26 * INTERVAL)
    }
  })

  it('ends those that take nothing for six intervals, and looks after them only until they do', async () => {
    const { time, add } = someSockets()
    const [stalled, eased, other] = [add(), add(), add()]
    const beat = setBeats(time, [stalled, eased, other])
    for (const said of [stalled, eased]) {
      said.stalledSince = time.now()
      said.filled()
    }
    await beat(3)
    eased.stalledSince = null
    await beat(1)
    const looks = eased.looks
    await beat(3)
    expect([eased.endedAt, other.endedAt]).to.deep.equal([null, null])
    expect([eased.looks, other.looks]).to.deep.equal([looks, 0])
    expect(stalled.endedAt).to.be.within(6 * INTERVAL, 6.26 * INTERVAL)
  })

  it('is not held against the agents when it was the server that stood still', async () => {
    const { time, add } = someSockets()
    const said = add()
    await time.pass(INTERVAL)
    time.standStill(60 * INTERVAL)
    await time.pass(0.5 * INTERVAL)
    expect(said.endedAt).to.equal(null)
    said.beatAt = time.now()
    await time.pass(5 * INTERVAL)
    expect(said.endedAt).to.equal(null)
    await time.pass(2 * INTERVAL)
    expect(said.code).to.equal(4008)
  })
})
