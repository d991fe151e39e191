import { expect } from 'chai'
import fc from 'fast-check'
import { oneOf } from '../../../domain/codec/codec.ts'
import { decode } from '../../../domain/codec/field-errors.ts'
import { E } from '../../../domain/fp.ts'
import { labelText } from '../../../src/api/label-conditions.ts'
import {
  commaList,
  fieldList,
  flag,
  labelFilters,
  pageRequest,
  paging,
  query,
  searchedName,
  text,
  timestamp,
} from '../../../src/api/query.ts'
import { quickestOf, timed } from '../../support/quickest.ts'

const codec = query({
  status: commaList(oneOf(['on', 'off'])),
  label: labelFilters,
  force: flag,
  since: timestamp,
  q: text(5),
  ...paging,
})
const decoded = (input: object) => {
  const result = decode(codec, input)
  if (E.isLeft(result)) throw new Error(JSON.stringify(result.left))
  return result.right
}
const failing = (input: object) => {
  const result = decode(codec, input)
  return E.isLeft(result) ? result.left.map(({ field }) => field) : []
}

describe('query strings', () => {
  it('are decoded into what the filters want', () => {
    expect(
      decoded({
        status: 'on,off',
        label: ['a=1', 'b=2,c='],
        force: 'true',
        since: '2026-01-31T12:00:00.5Z',
        q: 'x',
        limit: '7',
      }),
    ).to.deep.equal({
      status: ['on', 'off'],
      label: [
        ['a', '1'],
        ['b', '2'],
        ['c', ''],
      ],
      force: true,
      since: new Date('2026-01-31T12:00:00.500Z'),
      q: 'x',
      limit: 7,
    })
  })

  it('have labels whose values have commas, quotes or parentheses, in quotes', () => {
    const label = (given: string) => decoded({ label: given }).label
    expect(label('a="x,y",b=2')).to.deep.equal([
      ['a', 'x,y'],
      ['b', '2'],
    ])
    expect(label('a in ( "x, (y)" , z,"\\"\\\\"),b="",c=x"y')).to.deep.equal([
      ['a', 'x, (y)', 'z', '"\\'],
      ['b', ''],
      ['c', 'x"y'],
    ])
    for (const wrong of [
      'a="x',
      'a="x"y',
      'a in ("x"',
      'a in ("x" y)',
      'a in (x',
      'a in (x)y',
      `a="${'\\"'.repeat(2_000)}`,
    ])
      expect(failing({ label: wrong }), wrong).to.deep.equal(['label'])
  })

  it('have labels as the client writes them, whatever their values', () => {
    const value = fc.string({ unit: fc.constantFrom('a', ',', '"', '\\', '(', ')', ' ', '=', 'é', '\n') })
    fc.assert(
      fc.property(
        fc.stringMatching(/^[a-z.]{1,5}$/),
        fc.array(value, { minLength: 1, maxLength: 4 }),
        (name, values) => {
          const given = labelText([name, ...values])
          expect(decoded({ label: [given, 'b=1'] }).label).to.deep.equal([
            [name, ...values],
            ['b', '1'],
          ])
          expect(decoded({ label: `b=1,${given}` }).label).to.deep.equal([
            ['b', '1'],
            [name, ...values],
          ])
        },
      ),
    )
  })

  it('have labels of one value, or of any of several', () => {
    const label = (given: string | readonly string[]) => decoded({ label: given }).label
    expect(label('team in (web,api)')).to.deep.equal([['team', 'web', 'api']])
    expect(label(' team  in  ( web , api ) ,a=1')).to.deep.equal([
      ['team', 'web', 'api'],
      ['a', '1'],
    ])
    expect(label('a=1,team in (web),b=x=(y)')).to.deep.equal([
      ['a', '1'],
      ['team', 'web'],
      ['b', 'x=(y)'],
    ])
    expect(label(['a in ()', 'b=in (x)'])).to.deep.equal([
      ['a', ''],
      ['b', 'in (x)'],
    ])
    for (const wrong of ['a in (b', 'a in b', 'a in (b) c', 'in (a)', 'a b=c', '=c', 'a=1,', 'a in (b,(c))', 'a'])
      expect(failing({ label: wrong }), wrong).to.deep.equal(['label'])
    const many = (count: number) => Array.from({ length: count }, (_, n) => `v${n}`).join(',')
    expect(failing({ label: `a in (${many(99)})` })).to.deep.equal([])
    expect(failing({ label: `a in (${many(100)})` })).to.deep.equal(['label'])
    expect(failing({ label: `${'a=1,'.repeat(64)}a=1` })).to.deep.equal(['label'])
  })

  it('are read in a moment, however hostile', () =>
    quickestOf(5, 500, () =>
      timed(async () => {
        for (const hostile of [
          `a in (${','.repeat(16_000)}`,
          ','.repeat(16_000),
          'a in ('.repeat(3_000),
          ' '.repeat(16_000),
        ])
          expect(failing({ label: hostile })).to.deep.equal(['label'])
      }),
    ))

  it('name fields that there are, each once, and say which is not', () => {
    const fields = query({ fields: fieldList(['id', 'name']) })
    const of = (given: string) => decode(fields, { fields: given })
    expect(of('name,id,name')).to.deep.equal(E.right({ fields: ['name', 'id'] }))
    for (const wrong of ['', 'id,', 'colour', 'id,__proto__', 'toString', 'ID', 'id, name']) {
      const refused = of(wrong)
      if (E.isRight(refused)) throw new Error(wrong)
      expect(refused.left[0]?.field).to.equal('fields')
      expect(refused.left[0]?.message).to.include(JSON.stringify(wrong.split(',').at(-1)))
    }
  })

  it('search for at most eight words', () => {
    const search = query({ q: searchedName })
    expect(E.isRight(decode(search, { q: 'a b c d e f g h' }))).to.equal(true)
    expect(E.isRight(decode(search, { q: 'a b c d e f g h i' }))).to.equal(false)
    expect(E.isRight(decode(search, { q: '-'.repeat(80) }))).to.equal(true)
  })

  it('name each parameter that is unknown, repeated, empty or wrong', () => {
    expect(
      failing({ status: 'on,', label: 'a', force: '', since: 'now', q: '', limit: '1.5', cursor: '', other: 'x' }),
    ).to.have.members(['status', 'label', 'force', 'since', 'q', 'limit', 'cursor', 'other'])
    expect(failing({ q: ['a', 'b'], status: ['on', 'off'] })).to.have.members(['q', 'status'])
  })

  it('take page sizes from 1 to 500', () => {
    for (const limit of ['0', '501', '-1', 'abc', '1e2', '0x10', ' 5', '99999999999999999999'])
      expect(failing({ limit }), limit).to.deep.equal(['limit'])
    for (const limit of ['1', '500']) expect(failing({ limit })).to.deep.equal([])
    expect(pageRequest(undefined, undefined)).to.deep.equal({ limit: 50, cursor: null })
  })

  it('take every RFC 3339 time, and a plus that became a space', () => {
    fc.assert(
      fc.property(
        fc.date({ min: new Date('0001-01-02T00:00:00Z'), max: new Date('9999-12-30T00:00:00Z'), noInvalidDate: true }),
        (date) => {
          expect(decoded({ since: date.toISOString() }).since).to.deep.equal(date)
        },
      ),
    )
    expect(decoded({ since: '2026-01-31T12:00:00 02:00' }).since).to.deep.equal(new Date('2026-01-31T10:00:00Z'))
    expect(decoded({ since: '2026-01-31t12:00:00-02:00' }).since).to.deep.equal(new Date('2026-01-31T14:00:00Z'))
  })

  it('refuse days that there are not', () => {
    for (const since of [
      '2026-02-29T00:00:00Z',
      '2026-04-31T00:00:00Z',
      '2026-13-01T00:00:00Z',
      '2026-01-00T00:00:00Z',
      '2026-01-01T25:00:00Z',
      '2026-01-01',
    ])
      expect(failing({ since }), since).to.deep.equal(['since'])
    expect(failing({ since: '2028-02-29T00:00:00Z' })).to.deep.equal([])
  })

  it('refuse text that the database cannot hold', () => {
    expect(failing({ q: 'a\u0000', label: 'a=\ud800' })).to.have.members(['q', 'label'])
  })

  it('never throw, whatever is sent', () => {
    const value = fc.oneof(fc.string(), fc.array(fc.string(), { maxLength: 3 }))
    fc.assert(
      fc.property(
        fc.dictionary(fc.oneof(fc.string(), fc.constantFrom('status', 'label', 'since', 'limit')), value),
        (input) => {
          decode(codec, input)
        },
      ),
    )
  })
})
