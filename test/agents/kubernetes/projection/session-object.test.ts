import { expect } from 'chai'
import type { Content } from '../../../../agents/kubernetes/projection/object.ts'
import { sessionObjectOf, withoutToken } from '../../../../agents/kubernetes/projection/session-object.ts'
import { type Life, lifeOf } from '../../../../agents/kubernetes/session-life.ts'
import type { WireObserved } from '../../../../agents/protocol.ts'
import { lifeWith, running, SECRET } from './a-life.ts'

const now = () => new Date('2030-01-02T03:04:05.678Z')

const objectOf = (life: Life, before: Content | null = null) => {
  const object = sessionObjectOf(life, 'agent-a', before, now)
  if (object === null || object === 'leave') expect.fail(`it is ${object}`)
  return object
}

describe('a session as an object of the cluster', () => {
  it('is named and owned as its other objects are, and says what is asked and what is', () => {
    const life = lifeWith({}, running, { name: 'my desktop', template: { name: 'desktop', version: 4 } })
    const { name, content } = objectOf(life)
    expect(name).to.equal(`session-${life.sessionId}`)
    expect(content.owner).to.equal('anchor-uid')
    expect(content.spec).to.deep.equal({
      id: life.sessionId,
      name: 'my desktop',
      org: 'org-a',
      user: 'user-1',
      template: { name: 'desktop', version: 4 },
      desiredState: 'running',
      generation: 3,
      persistentHome: true,
      resources: { cpuMillis: 100, memoryMib: 256 },
    })
    expect(content.status).to.deep.equal({
      status: 'running',
      ready: true,
      endpoint: { url: 'http://10.0.0.1/', host: '10.0.0.1', port: 80, protocol: 'http' },
      node: 'node-1',
      restarts: 2,
      observedGeneration: 3,
      conditions: [
        {
          type: 'Ready',
          status: 'True',
          reason: 'Running',
          observedGeneration: 3,
          lastTransitionTime: '2030-01-02T03:04:05Z',
        },
      ],
    })
    expect(JSON.stringify(content)).to.not.include(SECRET)
  })

  it('keeps the time of a condition that has not changed', () => {
    const before = objectOf(lifeWith({}, running)).content
    const later = () => new Date('2031-01-01T00:00:00Z')
    const timeOf = (observed: WireObserved) =>
      sessionObjectOf(lifeWith({}, observed), 'agent-a', before, later) as { content: Content }
    const condition = ({ content }: { content: Content }) =>
      (content.status.conditions as { lastTransitionTime: string }[])[0]?.lastTransitionTime
    expect(condition(timeOf(running))).to.equal('2030-01-02T03:04:05Z')
    expect(condition(timeOf({ status: 'failed', reason: 'evicted' }))).to.equal('2031-01-01T00:00:00Z')
  })

  it('is not made of one that is being deleted, and nothing of one that is gone', () => {
    const life = lifeWith({}, running)
    life.anchor = { ...(life.anchor as NonNullable<Life['anchor']>), going: true }
    const object = objectOf(life)
    expect(object.mayMake).to.equal(false)
    expect(object.content.status).to.include({ status: 'deleting', ready: false }).and.not.have.property('endpoint')
    expect(object.content.spec).to.include({ desiredState: 'deleted' })
    life.anchor = null
    expect(sessionObjectOf(life, 'agent-a', null, now)).to.equal(null)
    expect(sessionObjectOf(undefined, 'agent-a', null, now)).to.equal(null)
  })

  it('is left as it is while nothing is known of it', () => {
    const unread = lifeWith({}, running)
    unread.anchor = { ...(unread.anchor as NonNullable<Life['anchor']>), record: null }
    expect(sessionObjectOf(unread, 'agent-a', null, now)).to.equal('leave')
    const unseen = lifeWith({}, running)
    unseen.observed = lifeOf(unseen.sessionId).observed
    expect(sessionObjectOf(unseen, 'agent-a', null, now)).to.equal('leave')
  })

  it('has URLs without what may be a token, and none that cannot be read', () => {
    const urlOf = (url: string) => withoutToken({ url, host: 'h', port: 1, protocol: 'tcp' }).url
    expect(urlOf(`https://user:${SECRET}@a.example/path?token=${SECRET}#${SECRET}`)).to.equal('https://a.example/path')
    expect(urlOf(`tcp://10.0.0.1:5900?x=${SECRET}`)).to.equal('tcp://10.0.0.1:5900')
    expect(urlOf(`vnc://${SECRET}@[::1]:5900`)).to.equal('vnc://[::1]:5900')
    expect(urlOf(SECRET)).to.equal(undefined)
  })
})
