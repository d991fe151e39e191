/** The load generator of the benchmarks: what it counts, and from when on. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'
import { expect } from 'chai'
import type { LoadPlan } from '../../../scripts/bench/load/plan.ts'
import { runLoad } from '../../../scripts/bench/load/run.ts'
import { eventually } from '../../support/eventually.ts'

type Answer = (request: IncomingMessage, response: ServerResponse, number: number) => unknown

const ok = (response: ServerResponse): void => {
  response.writeHead(200, { 'Content-Length': 2 }).end('{}')
}

describe('the load generator', () => {
  const endings: (() => void)[] = []
  afterEach(() => {
    for (const end of endings.splice(0)) end()
  })

  const serving = async (answer: Answer): Promise<{ readonly plan: LoadPlan; readonly heard: IncomingMessage[] }> => {
    const heard: IncomingMessage[] = []
    const server = createServer((request, response) => {
      heard.push(request)
      request.resume().on('end', () => answer(request, response, heard.length))
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    endings.push(() => server.close().closeAllConnections())
    const plan: LoadPlan = {
      url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
      token: 'ssk_test',
      method: 'GET',
      paths: ['/one'],
      body: null,
      expect: 200,
      connections: 4,
      pace: { kind: 'open', perSecond: 100 },
      warmUpSeconds: 0,
      seconds: 0.2,
    }
    return { plan, heard }
  }

  it('asks as often as planned, and does not count the time before', async () => {
    const { plan, heard } = await serving((_, response) => ok(response))
    const result = await runLoad({ ...plan, warmUpSeconds: 0.1 })
    expect(heard).to.have.length(30)
    expect(result.latenciesMs).to.have.length(20)
    expect(result).to.deep.include({ succeeded: 20, failures: {} })
    expect(heard[0]?.headers.authorization).to.equal('Bearer ssk_test')
  })

  it('counts a request from when it was due, also while it waits for a connection', async () => {
    const { plan } = await serving(async (_, response) => {
      await wait(50)
      ok(response)
    })
    const result = await runLoad({ ...plan, connections: 1, pace: { kind: 'open', perSecond: 100 }, seconds: 0.1 })
    // The tenth is due 90 ms after the first, and answered when nine others of 50 ms each were.
    expect(Math.max(...result.latenciesMs)).to.be.at.least(10 * 50 - 90 - 20)
  })

  it('counts what was not answered as it should have been, and why', async () => {
    const { plan } = await serving((_, response, number) => {
      if (number === 2) response.writeHead(503, { 'Content-Length': 0 }).end()
      else if (number === 3) response.destroy()
      else ok(response)
    })
    const result = await runLoad({ ...plan, seconds: 0.1 })
    expect(result.latenciesMs).to.have.length(10)
    expect(result).to.deep.include({ succeeded: 8, failures: { 503: 1, 'connection lost': 1 } })
  })

  it('reads an answer that comes in pieces', async () => {
    const { plan } = await serving(async (_, response) => {
      response.writeHead(200, { 'Content-Length': 8 })
      response.write('{"a"')
      await wait(5)
      response.end(':12}')
    })
    expect(await runLoad({ ...plan, seconds: 0.1 })).to.deep.include({ succeeded: 10, failures: {} })
  })

  it('asks again as soon as it is answered, when nothing else is asked for', async () => {
    const { plan, heard } = await serving((_, response) => ok(response))
    const body = '{"template":"x"}'
    // A machine that does something else for these 0.2 s says nothing about it.
    await eventually(async () => {
      const result = await runLoad({ ...plan, method: 'POST', body, pace: { kind: 'closed' }, connections: 2 })
      expect(result.succeeded).to.be.greaterThan(20)
    })
    expect(heard[0]?.headers).to.include({ 'content-length': String(body.length), 'content-type': 'application/json' })
  })
})
