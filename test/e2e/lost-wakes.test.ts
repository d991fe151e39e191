/** Wakes between replicas are hints: with every one of them lost, the sweep finds what is due. */
import { expect } from 'chai'
import pg from 'pg'
import { allRunOnce, ledgerAgent } from './support/ledger-agent.ts'
import { scene } from './support/scene.ts'
import { enrol, migratedDatabase, server } from './support/streamspace.ts'

const DELIVERED_WITHIN_MS = 10_000

/** Drain jobs vanish as they are sent, and nobody is notified of anything. */
const LOSE = `
CREATE FUNCTION lose_wake() RETURNS trigger LANGUAGE plpgsql AS
  $$ BEGIN IF NEW.name LIKE 'outbox.drain.%' THEN RETURN NULL; END IF; RETURN NEW; END $$;
CREATE TRIGGER lose_wakes BEFORE INSERT ON pgboss.job FOR EACH ROW EXECUTE FUNCTION lose_wake()`

describe('when every wake is lost', function () {
  this.timeout(120_000)
  const here = scene('each')

  it('commands to an agent that another replica holds still arrive within ten seconds, each once', async () => {
    const databaseUrl = await migratedDatabase(here)
    const pool = new pg.Pool({ connectionString: databaseUrl, max: 1 })
    here.finally(() => pool.end())
    const [asked, holder] = [await server(here, databaseUrl), await server(here, databaseUrl)]
    const agent = await ledgerAgent(here, {
      id: 'edge-1',
      token: await enrol(asked.rest, 'edge-1'),
      url: holder.url,
    })
    await pool.query(LOSE)
    const promised: string[] = []
    for (let round = 0; round < 3; round += 1) {
      const { id } = await asked.rest.create({ template: 'hello-web' })
      promised.push(id)
      await asked.rest.until(id, 'running', DELIVERED_WITHIN_MS)
    }
    await allRunOnce(asked.rest, promised, [agent])
    const { rows } = await pool.query(`SELECT FROM pgboss.job WHERE name LIKE 'outbox.drain.%'`)
    expect(rows, 'drain jobs that came through').to.deep.equal([])
  })
})
