import { expect } from 'chai'
import type { ApiKeyId } from '../../domain/ids.ts'
import { createKeyUse } from '../../src/usecases/key-use.ts'
import { later, T0 } from '../support/a-session.ts'

const [ONE, OTHER] = ['one' as ApiKeyId, 'other' as ApiKeyId]

describe('when a key was used last', () => {
  const writing = () => {
    let now = T0
    const written: { readonly id: ApiKeyId; readonly at: Date }[][] = []
    const use = createKeyUse({
      keys: { used: async (keys) => void written.push([...keys]) },
      clock: { now: () => now },
      onError: () => {},
    })
    return { use, written, at: (seconds: number) => (now = later(seconds)) }
  }

  it('is written soon, then once a minute, the latest use alone', async () => {
    const { use, written, at } = writing()
    use.used(ONE)
    await use.look()
    for (const second of [1, 2, 30, 59]) {
      at(second)
      use.used(ONE)
      if (second === 30) use.used(OTHER)
      await use.look()
    }
    at(60)
    await use.look()
    at(200)
    await use.look()
    await use.stop()
    expect(written).to.deep.equal([[{ id: ONE, at: T0 }], [{ id: OTHER, at: later(30) }], [{ id: ONE, at: later(59) }]])
  })

  it('is written at the end in any case', async () => {
    const { use, written } = writing()
    use.used(ONE)
    await use.look()
    use.used(ONE)
    await use.stop()
    expect(written).to.have.length(2)
  })
})
