import { expect } from 'chai'
import fc from 'fast-check'
import pg from 'pg'
import { openDatabase } from '../../../adapters/postgres/pool.ts'
import { readTime } from '../../../adapters/postgres/read-time.ts'
import { freshDatabase } from '../../support/postgres.ts'

const general = pg.types.getTypeParser(pg.types.builtins.TIMESTAMPTZ, 'text') as (text: string) => unknown

describe('reading a time', () => {
  it('says of every UTC time what the general parser says', () => {
    const part = (max: number, min = 0) => fc.integer({ min, max }).map((n) => String(n).padStart(2, '0'))
    const year = fc.integer({ min: 1, max: 20_000 }).map((n) => String(n).padStart(4, '0'))
    const fraction = fc.option(fc.stringMatching(/^\d{1,6}$/), { nil: null })
    fc.assert(
      fc.property(year, part(12, 1), part(28, 1), part(23), part(59), part(59), fraction, (y, mo, d, h, mi, s, f) => {
        const text = `${y}-${mo}-${d} ${h}:${mi}:${s}${f === null ? '' : `.${f}`}+00`
        expect(readTime(text)).to.deep.equal(general(text))
      }),
    )
  })

  it('leaves other zones, years before Christ and infinity to the general parser', () => {
    for (const text of [
      '2026-11-27 02:33:05.781+05:30',
      '2026-11-27 02:33:05-08',
      '0044-03-15 12:00:00+00 BC',
      'infinity',
      '-infinity',
    ])
      expect(readTime(text), text).to.deep.equal(general(text))
  })

  it('comes back as it was written, whatever the zone of the database', async () => {
    const fresh = await freshDatabase()
    const database = openDatabase({ url: fresh.url, as: 'login', maxConnections: 1 })
    try {
      const at = new Date('2026-11-27T02:33:05.781Z')
      for (const zone of ['UTC', 'Asia/Kolkata', 'America/New_York']) {
        await database.query({ text: `SET TIME ZONE '${zone}'` })
        const { rows } = await database.query({ text: 'SELECT $1::timestamptz AS at', values: [at] })
        expect(rows, zone).to.deep.equal([{ at }])
      }
    } finally {
      await database.close()
      await fresh.drop()
    }
  })
})
