/** A primary and a standby in one address: whatever connects finds the one that takes writes, and finds it again. */
import { mkdtemp, realpath } from 'node:fs/promises'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { isUnavailable } from '../../../adapters/http/unavailable.ts'
import { type JobsDatabase, openJobsDatabase } from '../../../adapters/postgres/jobs-database.ts'
import { migrate, schemaVersion } from '../../../adapters/postgres/migrate.ts'
import { type Database, openDatabase } from '../../../adapters/postgres/pool.ts'
import { eventually } from '../../support/eventually.ts'
import { type PostgresPair, startPostgresPair } from '../../support/postgres-pair.ts'

const failureOf = (promise: Promise<unknown>): Promise<Error & { code?: string }> =>
  promise.then(
    () => Object.assign(new Error('it succeeded'), { code: 'none' }),
    (error: Error & { code?: string }) => error,
  )

describe('a database of several hosts', function () {
  this.timeout(120_000)
  let pair: PostgresPair
  let database: Database
  let jobs: JobsDatabase
  let swallowing: Server
  /** Its first host swallows everything, its second is the standby, its third the primary. */
  let url: string

  before(async () => {
    const directory = await realpath(await mkdtemp(join(tmpdir(), 'streamspace-test-pair-')))
    pair = await startPostgresPair(directory, 'asynchronous')
    swallowing = createServer((socket) => socket.on('error', () => {}))
    await new Promise<void>((resolve) => swallowing.listen(0, '127.0.0.1', resolve))
    const hosts = [`127.0.0.1:${(swallowing.address() as { port: number }).port}`]
    for (const host of [pair.standbyUrl, pair.primaryUrl]) hosts.push(new URL(host).host)
    url = pair.primaryUrl.replace(new URL(pair.primaryUrl).host, hosts.join(','))
    url += '?target_session_attrs=read-write'
    database = openDatabase({ url, as: 'login', maxConnections: 4 })
    jobs = openJobsDatabase({ url, as: 'login' })
  })
  after(async () => {
    await database?.close()
    await jobs?.close()
    swallowing?.close()
    await pair?.stop()
  })

  const standbyTakesWrites = async (): Promise<boolean> =>
    (await database.query({ text: 'SELECT inet_server_port() AS port' })).rows[0].port ===
    Number(new URL(pair.standbyUrl).port)
  const write = (word: string) => database.query({ text: 'INSERT INTO words VALUES ($1)', values: [word] })

  it('is migrated, asked and written where it takes writes, though another host swallows everything', async () => {
    const began = performance.now()
    await migrate({ databaseUrl: url })
    expect(performance.now() - began, 'with the time that a migration takes').to.be.below(10_000)
    const { present, known } = await schemaVersion(url)
    expect(present).to.equal(known)
    await database.query({ text: 'CREATE TABLE words (word text)' })
    await write('first')
    expect(await standbyTakesWrites()).to.equal(false)
    expect((await jobs.executeSql('SELECT pg_is_in_recovery() AS standby')).rows).to.deep.equal([{ standby: false }])
  })

  it('says why of each host when none takes writes, and that is "unavailable" to who asked', async () => {
    const nobody = url.replace(`,${new URL(pair.primaryUrl).host}`, '')
    const alone = openDatabase({ url: nobody, as: 'login' })
    const error = await failureOf(alone.query({ text: 'SELECT 1' }))
    expect(error.message).to.include('no host takes writes').and.to.include('no answer within 2000 ms')
    expect(error.message).to.include('takes no writes (a standby, or read-only)')
    expect(isUnavailable(error)).to.equal(true)
    await alone.close()
  })

  it('goes on where the standby was promoted, also a transaction and what listens', async () => {
    const heard: string[] = []
    let connected = 0
    const listening = await jobs.listen(
      'words',
      (word) => heard.push(word),
      () => {
        connected += 1
      },
    )
    await jobs.executeSql(`SELECT pg_notify('words', 'before')`)
    await eventually(() => expect(heard).to.deep.equal(['before']))

    // A primary that was told to take no more writes while it still has every connection.
    await write('second')
    await database.query({ text: 'ALTER SYSTEM SET default_transaction_read_only = on' })
    await database.query({ text: 'SELECT pg_reload_conf()' })
    await eventually(async () => {
      const error = await failureOf(write('refused'))
      expect(error.code, error.message).to.equal('08001')
    })
    await pair.promoteStandby()
    await eventually(() => write('third'))
    await database.transaction(async (query) => {
      await query({ text: `INSERT INTO words VALUES ('fourth')` })
    })
    expect(await standbyTakesWrites()).to.equal(true)
    const { rows } = await database.query({ text: 'SELECT word FROM words ORDER BY word' })
    expect(rows.map(({ word }) => word)).to.include.members(['first', 'second', 'third', 'fourth'])

    await eventually(() => expect(connected, 'what listens came along').to.be.at.least(2))
    await jobs.executeSql(`SELECT pg_notify('words', 'after')`)
    await eventually(() => expect(heard.at(-1)).to.equal('after'))
    await listening.close()
  })
})
