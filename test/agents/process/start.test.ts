import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { join } from 'node:path'
import { expect } from 'chai'
import type { Applied } from '../../../agents/runtime/platform.ts'
import { eventually } from '../../support/eventually.ts'
import {
  type AgentProcess,
  aServer,
  aSessionId,
  httpPort,
  nameOf,
  nodeScript,
  sh,
  target,
  type Workplace,
  whoAgentsAre,
  workplace,
  written,
} from '../../support/process-agent.ts'

const observedOf = (applied: Applied) => {
  expect(applied.kind, JSON.stringify(applied)).to.equal('applied')
  return applied.kind === 'applied' ? applied.observed! : null!
}

for (const uid of whoAgentsAre)
  describe(`the process platform starts sessions (as ${nameOf(uid)})`, () => {
    let place: Workplace
    let agent: AgentProcess
    before(async () => {
      place = workplace(uid)
      agent = await place.agent()
    })
    after(() => place.close())

    it('answers applied when the session answers, with where it is reached', async () => {
      const id = aSessionId()
      const observed = observedOf(
        await agent.apply(
          target(id, {
            command: aServer,
            ports: [{ name: 'http', protocol: 'http' }, { name: 'vnc', protocol: 'vnc' }, { name: 'raw' }],
          }),
        ),
      )
      expect(observed).to.include({ status: 'running', reason: null, restarts: 0 })
      const { ports, accessToken } = place.record(id)
      expect(observed.endpoint).to.deep.equal({
        url: `http://127.0.0.1:${ports.http}/?token=${accessToken}`,
        host: '127.0.0.1',
        port: ports.http,
        protocol: 'http',
        ports: [
          {
            name: 'http',
            url: `http://127.0.0.1:${ports.http}/?token=${accessToken}`,
            port: ports.http,
            protocol: 'http',
          },
          { name: 'vnc', url: `vnc://127.0.0.1:${ports.vnc}`, port: ports.vnc, protocol: 'vnc' },
          { name: 'raw', url: `tcp://127.0.0.1:${ports.raw}`, port: ports.raw, protocol: 'tcp' },
        ],
      })
      expect(await (await fetch(observed.endpoint!.url)).text()).to.equal('hello')
      expect(await agent.inventoryOf(id)).to.deep.include({
        generation: 1,
        status: 'running',
        endpoint: observed.endpoint,
      })
    })

    it('says early what it waits for', async () => {
      const id = aSessionId()
      const already = agent.progress.length
      await agent.apply(target(id, { command: aServer, ports: httpPort }))
      const { ports } = place.record(id)
      expect(agent.progress.slice(already)).to.include(
        `starting: waiting for 127.0.0.1:${ports.http} (port http, tcp) to open`,
      )
    })

    it('builds the environment from nothing', async () => {
      const id = aSessionId()
      const env = {
        GREETING: "it's a 'test' $HOME `id` \\ \"x\"\nsecond line",
        UID: '7',
        LANG: 'C.UTF-8',
        OPTIND: 'x',
        EMPTY: '',
      }
      const command = nodeScript("require('fs').writeFileSync('env.json', JSON.stringify(process.env))")
      const ports = [{ name: 'http' }, { name: 'dev-tools' }]
      await agent.apply(
        target(id, {
          env,
          ports,
          process: { command: [...command], env: { GREETING: 'hidden', FROM: 'template' } },
          probe: { type: 'exec', command: ['test', '-s', 'env.json'] },
        }),
      )
      const home = join(place.sessionDir(id), 'home')
      const seen = JSON.parse(readFileSync(join(home, 'env.json'), 'utf8'))
      const record = place.record(id)
      const { PATH, ...others } = seen
      expect(others).to.deep.equal({
        ...env,
        FROM: 'template',
        HOME: home,
        PORT: String(record.ports.http),
        PORT_HTTP: String(record.ports.http),
        PORT_DEV_TOOLS: String(record.ports['dev-tools']),
        STREAMSPACE_SESSION_ID: id,
        STREAMSPACE_USER: 'user-1',
        STREAMSPACE_ACCESS_TOKEN: record.accessToken,
      })
      expect(PATH.split(':')[0]).to.equal(join(process.execPath, '..'))
    })

    it('gives a session no say over its port, its id and its token', async () => {
      const id = aSessionId()
      const env = { PORT: '1', PORT_HTTP: '2', STREAMSPACE_SESSION_ID: 'x', STREAMSPACE_ACCESS_TOKEN: 'y' }
      await agent.apply(
        target(id, {
          env,
          command: sh('env >seen.new && mv seen.new seen; sleep 600'),
          ports: httpPort,
          probe: { type: 'exec', command: ['test', '-e', 'seen'] },
        }),
      )
      const seen = readFileSync(join(place.sessionDir(id), 'home', 'seen'), 'utf8')
      const { ports, accessToken } = place.record(id)
      expect(seen).to.match(new RegExp(`^PORT=${ports.http}$`, 'm'))
      expect(seen).to.match(new RegExp(`^STREAMSPACE_SESSION_ID=${id}$`, 'm'))
      expect(seen).to.match(new RegExp(`^STREAMSPACE_ACCESS_TOKEN=${accessToken}$`, 'm'))
    })

    it('starts the command in its home, in a process group of its own, with the signals as they should be', async () => {
      const id = aSessionId()
      const script = 'pwd >where; grep -E "^Sig(Ign|Blk)" /proc/self/status >signals; echo $$ >me; sleep 600'
      await agent.apply(
        target(id, { command: sh(script), ports: [], probe: { type: 'exec', command: ['test', '-s', 'me'] } }),
      )
      const home = join(place.sessionDir(id), 'home')
      expect(readFileSync(join(home, 'where'), 'utf8').trim()).to.equal(home)
      expect(Number(readFileSync(join(home, 'me'), 'utf8'))).to.equal(place.commandPid(id))
      if (process.platform === 'linux')
        expect(
          readFileSync(join(home, 'signals'), 'utf8')
            .match(/[1-9a-f]/g)
            ?.filter((digit) => /[1-9]/.test(digit)),
        ).to.equal(undefined)
    })

    it('replaces the folders of the programs and of the home in a command', async () => {
      const id = aSessionId()
      // biome-ignore lint/suspicious/noTemplateCurlyInString: that is how templates spell them
      const command = ['sh', '-c', 'echo "$@" >${home}/said', 'x', '${apps}/hello-web.js']
      await agent.apply(target(id, { command }))
      const said = await written(join(place.sessionDir(id), 'home', 'said'))
      expect(said).to.match(/agents\/process\/apps\/hello-web\.js$/m)
    })

    it('is ready as soon as it is started when it has no ports', async () => {
      const id = aSessionId()
      const observed = observedOf(await agent.apply(target(id, { command: sh('sleep 600') })))
      expect(observed).to.deep.include({ status: 'running', endpoint: null })
    })

    it('waits for the HTTP probe to answer well', async () => {
      const id = aSessionId()
      const script = `let asked = 0
        require('http').createServer((q, a) => { a.statusCode = q.url === '/ready' && asked++ > 0 ? 204 : 503; a.end() }).listen(process.env.PORT, '127.0.0.1')`
      const already = agent.progress.length
      const applied = await agent.apply(
        target(id, {
          command: nodeScript(script),
          ports: httpPort,
          probe: { type: 'http', path: '/ready', intervalMs: 50 },
        }),
      )
      expect(observedOf(applied).status).to.equal('running')
      expect(agent.progress.slice(already).join('\n')).to.match(/waiting for http:.*\/ready.*GET \/ready answered 503/)
    })

    it('is idempotent: a higher generation of what runs changes nothing but the generation', async () => {
      const id = aSessionId()
      const first = observedOf(await agent.apply(target(id, { command: aServer, ports: httpPort })))
      const pid = place.commandPid(id)
      const second = observedOf(await agent.apply(target(id, { command: aServer, ports: httpPort }, { generation: 2 })))
      expect(second).to.deep.equal(first)
      expect(place.commandPid(id)).to.equal(pid)
      expect(await agent.inventoryOf(id)).to.include({ generation: 2 })
    })

    it('makes a new incarnation anew, with the same token and the same home', async () => {
      const id = aSessionId()
      await agent.apply(target(id, { command: sh('echo once >>starts; sleep 600') }))
      const before_ = { pid: place.commandPid(id), token: place.record(id).accessToken }
      await written(join(place.sessionDir(id), 'home', 'starts'))
      await agent.apply(target(id, { command: sh('echo once >>starts; sleep 600') }, { generation: 2, incarnation: 1 }))
      expect(place.commandPid(id)).to.not.equal(before_.pid)
      expect(place.record(id).accessToken).to.equal(before_.token)
      await eventually(() =>
        expect(readFileSync(join(place.sessionDir(id), 'home', 'starts'), 'utf8')).to.equal('once\nonce\n'),
      )
    })

    it('keeps what it wrote down for itself', async () => {
      const id = aSessionId()
      await agent.apply(target(id, { command: sh('sleep 600'), env: { SECRET: 'x' } }))
      expect(statSync(join(place.sessionDir(id), 'record.json')).mode & 0o777).to.equal(0o600)
      const { run, generation, sessionId } = place.record(id)
      expect({ generation, sessionId }).to.deep.equal({ generation: 1, sessionId: id })
      expect(run?.command?.pid).to.equal(place.commandPid(id))
      expect(run?.command?.start).to.match(/\S/)
    })

    it('gives up on a port that is never opened, and says what it waited for and where the session listens', async () => {
      const id = aSessionId()
      const elsewhere = nodeScript(
        "require('net').createServer().listen(0, '127.0.0.1', function () { console.log('up', this.address().port) })",
      )
      const applied = await agent.apply(target(id, { command: elsewhere, ports: httpPort, startTimeoutSeconds: 5 }))
      expect(applied).to.include({ kind: 'failed', code: 'start_timeout', retryable: false })
      const { message, observed } = applied as Extract<Applied, { kind: 'failed' }>
      expect(message).to.match(/^waited 5 s for 127\.0\.0\.1:\d+ \(port http, tcp\) to open; last: connection refused/)
      expect(message).to.match(/the session listens on 127\.0\.0\.1:\d+/)
      expect(observed).to.deep.include({ status: 'failed', reason: 'start_timeout', endpoint: null })
      expect(observed!.lastOutput).to.match(/^up \d+$/m)
      expect(await agent.inventoryOf(id)).to.include({ generation: 1, status: 'failed' })
    })

    it('starts again on another port when somebody else has taken its own', async () => {
      const id = aSessionId()
      const server = createServer((_request, answer) => answer.end('not the session'))
      // The session itself listens only from its second start on; until then somebody else does, on its port.
      const command = sh(
        "test -e begun && exec node -e \"require('http').createServer((q, a) => a.end('mine')).listen(process.env.PORT, '127.0.0.1')\"; echo $PORT >begun.new; mv begun.new begun; sleep 600",
      )
      const applying = agent.apply(target(id, { command, ports: httpPort }))
      const port = await eventually(() => Number(readFileSync(join(place.sessionDir(id), 'home', 'begun'), 'utf8')))
      await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
      try {
        const observed = observedOf(await applying)
        expect(observed.endpoint!.port).to.not.equal((server.address() as AddressInfo).port)
        expect(await (await fetch(observed.endpoint!.url)).text()).to.equal('mine')
        expect(agent.progress.join('\n')).to.match(/another process, not of this session, listens on its port/)
      } finally {
        server.close()
        server.closeAllConnections()
      }
    })

    it('fails when somebody else takes its second port as well', async () => {
      const id = aSessionId()
      const servers: Server[] = []
      const command = sh('echo $PORT >port.new; mv port.new port; sleep 600')
      const applying = agent.apply(target(id, { command, ports: httpPort }))
      try {
        const seen = new Set<number>()
        for (const nth of [1, 2]) {
          const port = await eventually(() => {
            const said = Number(readFileSync(join(place.sessionDir(id), 'home', 'port'), 'utf8'))
            expect(seen.has(said), `the port of start ${nth}`).to.equal(false)
            return said
          })
          seen.add(port)
          const server = createServer((_request, answer) => answer.end('not the session'))
          servers.push(server)
          await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
        }
        const applied = await applying
        expect(applied).to.include({ kind: 'failed', code: 'probe_failed', retryable: false })
        expect((applied as { message: string }).message).to.match(/another process, not of this session/)
      } finally {
        for (const server of servers) {
          server.close()
          server.closeAllConnections()
        }
      }
    })

    it('tells that somebody is connected', async () => {
      const lively = workplace(uid)
      try {
        const other = await lively.agent({ activityMs: 1 })
        const [used, unused] = [aSessionId(), aSessionId()]
        const server = nodeScript("require('net').createServer().listen(process.env.PORT, '127.0.0.1')")
        const applied = await other.apply(target(used, { command: server, ports: httpPort }))
        await other.apply(target(unused, { command: server, ports: httpPort }))
        const socket = connect(observedOf(applied).endpoint!.port, '127.0.0.1')
        socket.on('error', () => {})
        await eventually(() => expect(other.activity).to.include(used))
        expect(other.activity).to.not.include(unused)
        socket.destroy()
      } finally {
        await lively.close()
      }
    })

    it('leaves an interrupted start for the next apply to go on with', async () => {
      const id = aSessionId()
      const command = sh(
        "echo once >>starts; until test -e go; do sleep 0.02; done; exec node -e \"require('net').createServer().listen(process.env.PORT, '127.0.0.1')\"",
      )
      const applying = agent.apply(target(id, { command, ports: httpPort }))
      const starts = join(place.sessionDir(id), 'home', 'starts')
      await eventually(() => readFileSync(starts))
      await agent.interrupt()
      expect(await applying).to.deep.equal({ kind: 'interrupted' })
      const again = agent.apply(target(id, { command, ports: httpPort }, { generation: 2 }))
      writeFileSync(join(place.sessionDir(id), 'home', 'go'), '')
      expect(observedOf(await again).status).to.equal('running')
      expect(readFileSync(starts, 'utf8')).to.equal('once\n')
    })

    it('rejects what has no part for processes, and probes of ports that are not there', async () => {
      const container = await agent.apply(target(aSessionId(), { container: { image: 'x' } }))
      expect(container).to.include({ kind: 'rejected' })
      const probe = await agent.apply(target(aSessionId(), { command: sh('sleep 600'), probe: { type: 'http' } }))
      expect(probe).to.include({ kind: 'rejected' })
    })
  })
