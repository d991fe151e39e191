/** How programs end, and what is said of it. */
import { expect } from 'chai'
import { eventually } from '../../support/eventually.ts'
import { aSessionId } from '../../support/process-agent.ts'
import { applied, ended, itemOf, killedForMemory, leftOf, type Subject, served, startsOf, wanting } from './subject.ts'

const withPort = { ports: [{ name: 'http', port: 8080, protocol: 'http' }] } as const

export const endings = (here: Subject): void => {
  const { platform, test } = here
  const within = platform.patienceMs

  test('a program that ends well with 0 is stopped', async ({ place, agent }) => {
    const id = aSessionId()
    const one = await agent()
    await applied(one, id, place.script('sleep 0.3; exit 0'))
    const item = await itemOf(one, id, ({ status }) => status === 'stopped', within)
    expect(item).to.include({ reason: 'exited_early', exitCode: 0 })
    await ended(one, id, 2)
  })

  test('a program that ends with 3 is failed, with its exit code and its last words', async ({ place, agent }) => {
    const id = aSessionId()
    const one = await agent()
    const result = await one.command(
      wanting(id, { ...place.script('echo the disk is made of cheese; exit 3'), ...withPort }),
    )
    expect(result, JSON.stringify(result)).to.include({ outcome: 'failed' })
    expect(result.observed).to.include({ status: 'failed', reason: 'exited_early', exitCode: 3 })
    expect(result.observed?.lastOutput).to.include('the disk is made of cheese')
    expect(result.error).to.include({ retryable: false })
    await ended(one, id, 2)
  })

  test('a program that takes more memory than it has is ended, and that is the reason', async ({ place, agent }) => {
    const one = await agent()
    const eats = place.script('x=0123456789abcdef; while true; do x="$x$x"; done')
    const begin = async () => {
      const id = aSessionId()
      const about = wanting(id, { ...eats, ...withPort, resources: { cpuMillis: 1000, memoryMib: 32 } })
      const result = await one.command(about)
      await ended(one, id, 2)
      return result
    }
    const result = await killedForMemory(begin, platform.memoryTries ?? 1)
    expect(result.observed, JSON.stringify(result)).to.include({ status: 'failed', reason: 'out_of_memory' })
    expect(result.observed?.message).to.include('32 MiB')
  })

  test('a program that never opens its port fails in time, and is gone', async ({ place, agent }) => {
    const id = aSessionId()
    const one = await agent()
    const mute = { ...place.script('exec sleep 1000'), ...withPort, startTimeoutSeconds: 1 }
    // Without a home, which some platforms make only now: that would be waited for longer.
    const result = await one.command(wanting(id, mute, { persistentHome: false }))
    expect(result.observed, JSON.stringify(result)).to.include({ status: 'failed', reason: 'start_timeout' })
    expect(result.error?.message).to.include('waited 1 s')
    await ended(one, id, 2)
  })

  test('a program that ignores SIGTERM is ended when its time is over', async ({ place, agent }) => {
    const id = aSessionId()
    const one = await agent()
    const program = "trap '' TERM; echo once >>starts; while true; do sleep 0.1; done"
    const deaf = { ...place.script(program), stopGraceSeconds: 1 }
    await applied(one, id, deaf)
    // It is deaf by then.
    await eventually(async () => expect(await startsOf(place, id)).to.equal(1))
    const began = performance.now()
    await applied(one, id, deaf, { generation: 2, state: 'stopped' })
    expect(performance.now() - began).to.be.within(900, within)
    await ended(one, id, 3)
  })

  test('a program that ends is started again as its policy says, then failed', async ({ place, agent }) => {
    const id = aSessionId()
    const one = await agent()
    const failing = {
      ...place.script('echo once >>starts; sleep 0.2; exit 7'),
      restart: { policy: 'on-failure', maxRetries: 2 },
    }
    // Where nothing is to be waited for it may be over before it has been seen to run.
    expect((await one.command(wanting(id, failing))).outcome).to.be.oneOf(['applied', 'failed'])
    const item = await itemOf(one, id, ({ status }) => status === 'failed', 2 * within)
    expect(item).to.include({ reason: 'restart_limit', exitCode: 7, restarts: 2 })
    expect(await startsOf(place, id)).to.equal(3)
    await ended(one, id, 2)
  })

  test('a workload that is removed from outside is noticed within two seconds', async ({ place, agent }) => {
    const id = aSessionId()
    const one = await agent()
    await applied(one, id, place.server('echo once >>starts'))
    await place.removeWorkload(id)
    const item = await itemOf(one, id, ({ status }) => status === 'failed', 2_000)
    expect(item).to.include({ reason: platform.removedReason })
    await ended(one, id, 2)
  })

  test('and is repaired where the restart policy says so, with its home', async ({ place, agent }) => {
    const id = aSessionId()
    const one = await agent()
    await applied(one, id, { ...place.server('echo once >>starts'), restart: { policy: 'always', maxRetries: 5 } })
    for (const restarts of [1, 2]) {
      await place.removeWorkload(id)
      const item = await itemOf(one, id, (now) => now.status === 'running' && now.restarts === restarts, within)
      expect(await served(item, 'starts')).to.equal('once\n'.repeat(restarts + 1))
    }
    await ended(one, id, 2)
  })

  test('what cannot be understood is rejected, and nothing is made', async ({ place, agent }) => {
    const id = aSessionId()
    const one = await agent()
    const result = await one.command(wanting(id, {}))
    expect(result, JSON.stringify(result)).to.include({ outcome: 'rejected' })
    expect(await leftOf(place, id)).to.deep.equal([])
  })
}
