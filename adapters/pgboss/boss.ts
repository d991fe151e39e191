/** pg-boss, set up once: its schema is made by `migrate`; at run time it needs no right to change tables. */
import { type ConstructorOptions, PgBoss } from 'pg-boss'

/** Its statements and its LISTEN. */
export type BossDatabase = NonNullable<ConstructorOptions['db']>

const settings = (database: BossDatabase): ConstructorOptions => ({ db: database, schedule: false })

/** Makes or updates pg-boss' schema. Leaves the database open. */
export const migrateBoss = async (database: BossDatabase): Promise<void> => {
  const boss = new PgBoss({ ...settings(database), migrate: true, supervise: false })
  boss.on('error', () => {}) // start() rejects with the same
  await boss.start()
  await boss.stop({ graceful: false })
}

/** Whether its schema is the one that this pg-boss knows. Leaves the database open. */
export const isBossCurrent = async (database: BossDatabase): Promise<boolean> => {
  const boss = new PgBoss({ ...settings(database), migrate: false, createSchema: false, supervise: false })
  boss.on('error', () => {}) // start() rejects with the same
  try {
    await boss.start()
    await boss.stop({ graceful: false })
    return true
  } catch {
    return false
  }
}

/** Leaves the database open when it stops, too: it belongs to who opened it. */
export const startBoss = async (database: BossDatabase, onError: (error: unknown) => void): Promise<PgBoss> => {
  const boss = new PgBoss({
    ...settings(database),
    migrate: false,
    createSchema: false,
    supervise: true,
    // Its own default looks once a day for jobs that are to be deleted: by then drains have left millions.
    maintenanceIntervalSeconds: 60,
    useListenNotify: true,
  })
  boss.on('error', onError)
  await boss.start()
  return boss
}
