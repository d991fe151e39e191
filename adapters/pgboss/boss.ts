/** pg-boss, set up once: its schema is made by `migrate`; at run time it needs no right to change tables. */
import { type ConstructorOptions, PgBoss } from 'pg-boss'

const settings = (url: string): ConstructorOptions => ({
  connectionString: url,
  application_name: 'streamspace jobs',
  max: 4,
  schedule: false,
})

/** Makes or updates pg-boss' schema. */
export const migrateBoss = async (url: string): Promise<void> => {
  const boss = new PgBoss({ ...settings(url), migrate: true, supervise: false })
  boss.on('error', () => {}) // start() rejects with the same
  await boss.start()
  await boss.stop({ graceful: false })
}

export const startBoss = async (url: string, onError: (error: unknown) => void): Promise<PgBoss> => {
  const boss = new PgBoss({
    ...settings(url),
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
