import { expect } from 'chai'
import { createCursors, pageOf } from '../../../adapters/postgres/cursor.ts'
import { BadCursorError } from '../../../domain/ports/sessions.ts'

describe('cursors', () => {
  const cursors = createCursors(Buffer.alloc(32, 1))

  it('give back the key that they were made of', () => {
    const key = ['ünï "quoted"', 1_767_225_600_123_456]
    expect(cursors.decode('list', cursors.encode('list', key))).to.deep.equal(key)
    expect(cursors.decode('list', null)).to.equal(null)
  })

  it('are text that needs no quoting in a URL', () => {
    expect(cursors.encode('list', ['ÿÿÿ>>>???'])).to.match(/^[A-Za-z0-9_-]+$/u)
  })

  const cursor = cursors.encode('list', ['a'])
  const refused: { readonly [what: string]: readonly [string, string] } = {
    'of another list': ['another', cursor],
    'that is empty': ['list', ''],
    'that is too short': ['list', cursor.slice(0, 10)],
    'that is only a signature': ['list', cursor.slice(0, 16)],
    'that was changed': ['list', `${cursor.slice(0, -1)}${cursor.endsWith('A') ? 'B' : 'A'}`],
    'that someone else signed': ['list', createCursors(Buffer.alloc(32, 2)).encode('list', ['a'])],
    'that is no base64': ['list', '!!! not base64 !!!'],
  }
  for (const [what, [list, text]] of Object.entries(refused))
    it(`refuse one ${what}`, () => {
      expect(() => cursors.decode(list, text)).to.throw(BadCursorError)
    })

  it('are there when there is more, and not when there is not', () => {
    const page = (rows: readonly number[]) => pageOf(rows, 2, (row) => row * 10, String)
    expect(page([1, 2, 3])).to.deep.equal({ items: [10, 20], nextCursor: '2' })
    expect(page([1, 2])).to.deep.equal({ items: [10, 20], nextCursor: null })
    expect(page([])).to.deep.equal({ items: [], nextCursor: null })
  })
})
