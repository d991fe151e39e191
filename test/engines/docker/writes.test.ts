/**
 * Every write to the engine in an apply is followed by a named step: of what no kill point divides no test has tried what a kill
 * in between leaves. Looked at from outside, by a proxy in front of the engine.
 */
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type RequestOptions, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { addressOf } from '../../../agents/docker/engine.ts'
import { dockerEngine, needsDocker } from '../../support/docker-engine.ts'
import { aSessionId, type DockerAgent, type Place, place, script, site } from './docker-agent.ts'

type Tell = (event: 'asked' | 'answered', method: string, path: string) => void

/** Hands everything on, and tells of each request as it comes, and of each that was not refused before its answer arrives. */
const proxyTo = async (host: string, path: string, tell: Tell) => {
  const address = addressOf(host) as RequestOptions
  const server = createServer((asked, answer) => {
    const { method = 'GET', url = '/', headers } = asked
    tell('asked', method, url)
    const onward = request({ ...address, method, path: url, headers, agent: false }, (said) => {
      if ((said.statusCode ?? 502) < 400) tell('answered', method, url)
      answer.writeHead(said.statusCode ?? 502, said.headers)
      said.pipe(answer)
    })
    onward.on('error', () => answer.destroy())
    answer.on('close', () => onward.destroy())
    asked.pipe(onward)
  })
  server.listen(path)
  await once(server, 'listening')
  return async (): Promise<void> => {
    server.closeAllConnections()
    server.close()
    await once(server, 'close')
  }
}

/** Not: running a probe's program inside, and removing an empty network, which is no session's and done when an apply is over. */
const isWrite = (method: string, path: string): boolean =>
  !['GET', 'HEAD'].includes(method) &&
  !/\/exec(\/|$|\?)/.test(path) &&
  !(method === 'DELETE' && path.includes('/networks/'))

describe('the writes of an apply to the engine', function () {
  this.timeout(120_000)
  const folder = mkdtempSync(join(tmpdir(), 'engine-proxy-'))
  let log: { readonly kind: 'asked' | 'answered' | 'step'; readonly what: string }[] = []
  let closeProxy: (() => Promise<void>) | undefined
  let here: Place | undefined
  let agent: DockerAgent

  before(async function () {
    needsDocker.call(this)
    const engine = await dockerEngine()
    const socket = join(folder, 'sock')
    closeProxy = await proxyTo(engine.host, socket, (kind, method, path) => {
      const [what = ''] = path.split('?')
      if (isWrite(method, path)) log.push({ kind, what: `${method} ${what}` })
    })
    here = await place(engine)
    agent = await here.agent(
      { dockerHost: `unix://${socket}` },
      { step: async (name) => void log.push({ kind: 'step', what: name }) },
    )
  })
  after(async () => {
    await here?.close()
    await closeProxy?.()
    rmSync(folder, { recursive: true, force: true })
  })

  /**
   * What an apply wrote; fails on a write that is asked for after another was answered with no step between them, and on one after the
   * last step. Two that are under way side by side are divided by neither's step.
   */
  const divided = async (...about: Parameters<DockerAgent['apply']>): Promise<number> => {
    log = []
    await agent.apply(...about)
    const seen = log
    for (const [at, { kind, what }] of seen.entries())
      if (kind === 'answered') {
        const next = seen.slice(at + 1).find((one) => one.kind !== 'answered')
        expect(next?.kind, `after ${what}, in ${JSON.stringify(seen)}`).to.equal('step')
      }
    return seen.filter(({ kind }) => kind === 'answered').length
  }

  it('are each followed by a step that has a name', async () => {
    const [id, deaf, failing] = [aSessionId(), aSessionId(), aSessionId()]
    const counts = {
      start: await divided(id, site()),
      again: await divided(id, site(), { generation: 2 }),
      restart: await divided(id, site(), { generation: 3, incarnation: 1 }),
      hibernation: await divided(id, site(), { generation: 4, state: 'hibernated' }),
      wake: await divided(id, site(), { generation: 5 }),
      deletion: await divided(id, site(), { generation: 6, state: 'deleted' }),
      deaf: await divided(deaf, script("trap '' TERM; while true; do sleep 0.1; done")),
      kill: await divided(deaf, script('true'), { generation: 2, state: 'stopped' }),
      failure: await divided(
        failing,
        site({ restart: { policy: 'on-failure', maxRetries: 1 }, container: { ...script('exit 3').container } }),
      ),
      timeout: await divided(failing, script('sleep 100', { ports: site().ports ?? [], startTimeoutSeconds: 1 }), {
        generation: 2,
      }),
    }
    console.log(`      writes: ${JSON.stringify(counts)}`)
    for (const [name, count] of Object.entries(counts)) expect(count, name).to.be.greaterThan(0)
  })
})
