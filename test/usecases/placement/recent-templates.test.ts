import { expect } from 'chai'
import type { OrgId } from '../../../domain/ids.ts'
import type { TemplateStore } from '../../../domain/ports/templates.ts'
import type { Template } from '../../../domain/template/template.ts'
import { createRecentTemplates } from '../../../src/placement/recent-templates.ts'
import { aTemplate } from '../../support/a-template.ts'

const ACME = 'acme' as OrgId

describe('the templates of a moment ago', () => {
  const seen = (answers: readonly (Template | null | Error)[]) => {
    const asked: string[] = []
    const clock = { ms: 0 }
    const store = {
      find: async (orgId: OrgId, name: string, version: number | null) => {
        asked.push(`${orgId}/${name}/${version}`)
        const answer = answers[Math.min(asked.length, answers.length) - 1]
        if (answer instanceof Error) throw answer
        return answer ?? null
      },
      put: async () => ({ kind: 'made' }) as never,
      archive: async () => true as never,
    } as unknown as TemplateStore
    return { recent: createRecentTemplates(store, () => clock.ms), asked, clock }
  }

  it('are read once by a burst, and again after a fifth of a second', async () => {
    const { recent, asked, clock } = seen([aTemplate()])
    await Promise.all(Array.from({ length: 5 }, () => recent.find(ACME, 'desk', null)))
    expect(asked).to.deep.equal(['acme/desk/null'])
    clock.ms = 200
    await recent.find(ACME, 'desk', null)
    expect(asked).to.have.length(2)
  })

  it('are kept apart by org, name and version', async () => {
    const { recent, asked } = seen([aTemplate()])
    await recent.find(ACME, 'desk', 1)
    await recent.find(ACME, 'desk', 2)
    await recent.find('globex' as OrgId, 'desk', 1)
    expect(asked).to.deep.equal(['acme/desk/1', 'acme/desk/2', 'globex/desk/1'])
  })

  it('that there are not, or that could not be read, are not remembered', async () => {
    const { recent, asked } = seen([null, new Error('the connection was lost'), aTemplate()])
    expect(await recent.find(ACME, 'desk', null)).to.equal(null)
    expect(await recent.find(ACME, 'desk', null).catch((error: Error) => error.message)).to.match(/was lost/)
    expect(await recent.find(ACME, 'desk', null)).not.to.equal(null)
    expect(asked).to.have.length(3)
  })

  it('are read anew after this replica changed one', async () => {
    const { recent, asked } = seen([aTemplate()])
    await recent.find(ACME, 'desk', null)
    await recent.put(null, {} as never)
    await recent.find(ACME, 'desk', null)
    await recent.archive(ACME, 'desk')
    await recent.find(ACME, 'desk', null)
    expect(asked).to.have.length(3)
  })
})
