/** Many sessions at once. */
import { expect } from 'chai'
import { eventually } from '../../support/eventually.ts'
import { aSessionId } from '../../support/process-agent.ts'
import { counted } from './changes.ts'
import { applied, ended, leftOf, type Subject, served } from './subject.ts'

export const many = (here: Subject): void => {
  const { platform, test } = here

  test('fifty sessions at once all run, and all go', async ({ place, agent }) => {
    const one = await agent()
    const ids = Array.from({ length: 50 }, aSessionId)
    const long = { ...counted(place), startTimeoutSeconds: 240 }
    // What an engine could not do at once under the load is asked again, as the server asks.
    const again = { within: 60_000 + 50 * platform.startMs }
    const observed = await Promise.all(ids.map((id) => eventually(() => applied(one, id, long), again)))
    for (const each of observed) expect(each).to.include({ status: 'running' })
    await eventually(async () => expect(await served(observed[49] ?? null, 'index.html')).to.include('hello'))
    expect((await one.inventory()).filter(({ status }) => status === 'running')).to.have.length(50)
    await Promise.all(ids.map((id) => eventually(() => ended(one, id, 2), again)))
    expect(await one.inventory()).to.deep.equal([])
    expect(await leftOf(place, ...ids)).to.deep.equal([])
  })
}
