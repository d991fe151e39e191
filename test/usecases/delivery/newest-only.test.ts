import { expect } from 'chai'
import { createNewestOnly } from '../../../src/delivery/newest-only.ts'

describe('work of which only the newest counts', () => {
  it('runs one at a time for each key, and of what waits only the last', async () => {
    const newestOnly = createNewestOnly<string, string>('overtaken')
    const begun: string[] = []
    const ends = new Map<string, () => void>()
    const work = (name: string) => () => {
      begun.push(name)
      return new Promise<string>((resolve) => ends.set(name, () => resolve(name)))
    }
    const answers = ['one', 'two', 'three'].map((name) => newestOnly('agent', work(name)))
    const other = newestOnly('other', work('else'))
    expect(begun).to.deep.equal(['one', 'else'])
    ends.get('one')?.()
    expect(await answers[0]).to.equal('one')
    expect(await answers[1]).to.equal('overtaken')
    expect(begun).to.deep.equal(['one', 'else', 'three'])
    ends.get('three')?.()
    ends.get('else')?.()
    expect(await answers[2]).to.equal('three')
    expect(await other).to.equal('else')
  })

  it('goes on after work that failed', async () => {
    const newestOnly = createNewestOnly<string, string>('overtaken')
    const failed = newestOnly('agent', () => Promise.reject(new Error('lost')))
    const next = newestOnly('agent', async () => 'done')
    expect(await failed.catch((error: Error) => error.message)).to.equal('lost')
    expect(await next).to.equal('done')
  })
})
