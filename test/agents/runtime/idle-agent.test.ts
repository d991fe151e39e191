/** The agent of the benchmarks is the one thing in `scripts/bench` that other numbers rest on. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { agentsUnderTest, TOKEN } from '../../support/agents-under-test.ts'
import { aCommand, sessionIdOf } from '../../support/control-plane.ts'
import { eventually } from '../../support/eventually.ts'

const linesOf = async (path: string): Promise<Record<string, unknown>[]> =>
  (await readFile(path, 'utf8'))
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>)

describe('the idle agent', () => {
  const { plane, directory } = agentsUnderTest()

  it('does nothing with commands but to note when they arrived', async () => {
    const server = await plane()
    const times = join(await directory(), 'times.jsonl')
    const before = Date.now()
    const child = spawn(process.execPath, [join(import.meta.dirname, '../../../scripts/bench/idle-agent.ts')], {
      env: {
        STREAMSPACE_URL: server.url,
        STREAMSPACE_AGENT_ID: 'idle-1',
        STREAMSPACE_AGENT_TOKEN: TOKEN,
        STREAMSPACE_PLATFORM: 'docker',
        STREAMSPACE_BENCH_TIMES: '1',
        STREAMSPACE_BENCH_FILE: times,
      },
      stdio: ['ignore', 'inherit', 'inherit'],
    })
    const exited = once(child, 'exit')
    try {
      const connection = await server.connection(0)
      expect(connection.of('hello')[0]).to.include({ agentId: 'idle-1', platform: 'docker' })
      connection.send(aCommand({ session: 1, generation: 4 }))
      await connection.next('result')
      child.kill('SIGUSR2')
      await eventually(async () => expect(await linesOf(times)).to.have.length(1))
      connection.send(aCommand({ session: 2, generation: 5 }))
      await connection.next('result', 2)
    } finally {
      child.kill('SIGTERM')
    }
    expect(await exited).to.deep.equal([0, null])
    const lines = await linesOf(times)
    expect(lines.map(({ sessionId, generation }) => [sessionId, generation])).to.deep.equal([
      [sessionIdOf(1), 4],
      [sessionIdOf(2), 5],
    ])
    // Two clocks of one machine: the wall clock, and the monotonic one set to it when the process began.
    for (const { receivedAtMs } of lines) expect(receivedAtMs).to.be.within(before - 1_000, Date.now() + 1_000)
  })
})
