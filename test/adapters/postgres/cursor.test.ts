import { expect } from 'chai'
import { createCursors, listOf, pageOf } from '../../../adapters/postgres/cursor.ts'
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
    'with something behind it': ['list', `${cursor}!`],
    'that is padded': ['list', `${cursor}=`],
  }
  for (const [what, [list, text]] of Object.entries(refused))
    it(`refuse one ${what}`, () => {
      expect(() => cursors.decode(list, text)).to.throw(BadCursorError)
    })

  it('are taken for as long as their key is known, and given out under the newest', () => {
    const [old, now] = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)]
    const replacing = createCursors(now, [old])
    expect(replacing.decode('list', cursor)).to.deep.equal(['a'])
    expect(replacing.encode('list', ['a'])).to.equal(createCursors(now).encode('list', ['a']))
    expect(() => createCursors(now).decode('list', cursor)).to.throw(BadCursorError)
  })

  it('refuse one of which any character was changed', () => {
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
    for (let at = 0; at < cursor.length; at += 1)
      for (const other of alphabet.replace(cursor[at] ?? '', '')) {
        const edited = `${cursor.slice(0, at)}${other}${cursor.slice(at + 1)}`
        expect(() => cursors.decode('list', edited), edited).to.throw(BadCursorError)
      }
  })

  it('are of one list alone: whose it is, and what it was asked', () => {
    const name = listOf('sessions', 'acme', { status: ['a', 'b'], at: new Date(0) })
    expect(listOf('sessions', 'acme', { at: new Date(0), status: ['b', 'a'] })).to.equal(name)
    for (const other of [
      listOf('sessions', 'globex', { status: ['a', 'b'], at: new Date(0) }),
      listOf('sessions', 'acme', { status: ['a,b'], at: new Date(0) }),
      listOf('sessions', 'acme', { status: ['a', 'b'], at: new Date(1) }),
      listOf('sessions', null, { status: ['a', 'b'], at: new Date(0) }),
      listOf('agents', 'acme', { status: ['a', 'b'], at: new Date(0) }),
    ])
      expect(other).not.to.equal(name)
  })

  it('are there when there is more, and not when there is not', () => {
    const page = (rows: readonly number[]) => pageOf(rows, 2, (row) => row * 10, String)
    expect(page([1, 2, 3])).to.deep.equal({ items: [10, 20], nextCursor: '2' })
    expect(page([1, 2])).to.deep.equal({ items: [10, 20], nextCursor: null })
    expect(page([])).to.deep.equal({ items: [], nextCursor: null })
  })
})
