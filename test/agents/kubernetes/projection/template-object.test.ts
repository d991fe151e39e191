import { expect } from 'chai'
import {
  createTemplateUses,
  templateName,
  templateObjectOf,
} from '../../../../agents/kubernetes/projection/template-object.ts'
import type { Desired } from '../../../../agents/protocol.ts'
import { lifeWith, running, SECRET } from './a-life.ts'

describe('templates as objects of the cluster', () => {
  const using = (version: number, more: Partial<Desired> = {}) =>
    lifeWith({}, running, { template: { name: 'desktop', version }, ...more })

  it('are one for a name and an org, of the highest version in use, without any environment', () => {
    const uses = createTemplateUses('agent-a')
    const [first, second, others] = [using(2), using(7), using(1, { orgId: 'org-b' })]
    const [name] = uses.changed(first.sessionId, first)
    expect(uses.changed(second.sessionId, second)).to.deep.equal([name])
    expect(uses.changed(others.sessionId, others)).to.not.deep.equal([name])
    const object = templateObjectOf(name ?? '', uses.of(name ?? ''), 'agent-a')
    expect(object?.content.spec).to.deep.equal({
      name: 'desktop',
      org: 'org-a',
      version: 7,
      image: 'busybox:1',
      ports: [{ name: 'http', port: 80, protocol: 'tcp' }],
      resources: { cpuMillis: 100, memoryMib: 256 },
    })
    expect(object?.content.status).to.deep.equal({ sessions: 2, versions: [2, 7] })
    expect(JSON.stringify(object)).to.not.include(SECRET)
  })

  it('go with the last session of them', () => {
    const uses = createTemplateUses('agent-a')
    const life = using(1)
    const [name = ''] = uses.changed(life.sessionId, life)
    expect(uses.changed(life.sessionId, life), 'nothing new').to.deep.equal([])
    expect(uses.changed(life.sessionId, undefined)).to.deep.equal([name])
    expect(templateObjectOf(name, uses.of(name), 'agent-a')).to.equal(null)
  })

  it('have names that a cluster takes, of each agent its own', () => {
    const desired = { orgId: 'org-a', template: { name: 'a'.repeat(63), version: 1 } }
    expect(templateName('agent-a', desired)).to.match(/^[a-z0-9]([-a-z0-9]{0,251}[a-z0-9])?$/)
    expect(templateName('agent-a', desired)).to.not.equal(templateName('agent-b', desired))
  })
})
