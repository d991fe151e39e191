/** What may be done with a session at a moment, of a platform that ends. */
import { randomUUID } from 'node:crypto'
import { setImmediate as turn } from 'node:timers/promises'
import { expect } from 'chai'
import { newSession } from '../../../agents/docker/session.ts'
import { createSessionTasks } from '../../../agents/docker/session-tasks.ts'
import type { SessionId } from '../../../domain/ids.ts'

describe('tasks of sessions, when the agent ends', () => {
  const session = newSession(randomUUID() as SessionId, 'org-1')

  /** Lists and judges when it is told to. */
  const looking = () => {
    const listed = Promise.withResolvers<readonly string[]>()
    const judged = Promise.withResolvers<void>()
    const heard: string[] = []
    const tasks = createSessionTasks<readonly string[], object>({
      session: () => session,
      list: () => {
        heard.push('listed')
        return listed.promise
      },
      judge: async () => {
        heard.push('judged')
        await judged.promise
      },
      failed: () => heard.push('failed'),
    })
    return { tasks, heard, listed, judged }
  }

  const ended = (tasks: ReturnType<typeof looking>['tasks'], heard: string[]): Promise<void> => {
    tasks.stop()
    return tasks.end().then(() => void heard.push('ended'))
  }

  it('wait for a look that is under way, and judge nothing of what it lists', async () => {
    const { tasks, heard, listed } = looking()
    tasks.lookSoon(session.id)
    const over = ended(tasks, heard)
    await turn()
    expect(heard).to.deep.equal(['listed'])
    listed.resolve([])
    await over
    expect(heard).to.deep.equal(['listed', 'ended'])
  })

  it('wait for what a look has begun to judge', async () => {
    const { tasks, heard, listed, judged } = looking()
    tasks.lookSoon(session.id)
    listed.resolve([])
    await turn()
    const over = ended(tasks, heard)
    await turn()
    expect(heard).to.deep.equal(['listed', 'judged'])
    judged.resolve()
    await over
    expect(heard).to.deep.equal(['listed', 'judged', 'ended'])
  })

  it('begin what waited for a look only to interrupt it, and look at nothing any more', async () => {
    const { tasks, heard, listed } = looking()
    tasks.lookSoon(session.id)
    const asked = tasks.run(session, async ({ aborted }) => {
      heard.push(aborted ? 'interrupted' : 'applied')
      session.lookAgain = true
    })
    const over = ended(tasks, heard)
    listed.resolve([])
    await Promise.all([over, asked])
    await tasks.look(session.id)
    expect(heard).to.deep.equal(['listed', 'interrupted', 'ended'])
  })
})
