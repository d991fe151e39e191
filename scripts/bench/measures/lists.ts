/** `GET /sessions?limit=500`: pages a second out of many sessions, as they are walked through, and what the list costs as counts. */
import { startInstallation } from '../installation.ts'
import { startLoad } from '../load/start.ts'
import type { Measure } from '../measure.ts'
import { distributionOf } from '../percentiles.ts'
import { doubtsOf } from './doubts.ts'

const SESSIONS = 100_000
const ROWS = 500
const CONNECTIONS = 8
const PAGES = 100

export const lists: Measure = {
  name: 'lists',
  about: `GET /sessions?limit=${ROWS} among ${SESSIONS.toLocaleString('en')} sessions, ${CONNECTIONS} connections`,
  run: async (bench) => {
    const installation = await startInstallation(bench, { agents: 1 })
    const load = await startLoad(bench)
    await manySessions(installation.database.query)
    const paths = await pagesOf(installation.plan)
    const ask = (asked: readonly string[], seconds: number) =>
      load.run({
        ...installation.plan,
        method: 'GET',
        paths: asked,
        body: null,
        expect: 200,
        connections: CONNECTIONS,
        pace: { kind: 'closed' },
        warmUpSeconds: 3,
        seconds: seconds * bench.scale,
      })
    const whole = await ask(paths, 15)
    const slim = await ask(
      paths.map((path) => `${path}&fields=id,name,status`),
      10,
    )
    const counts = await ask(['/api/v1/sessions/summary'], 5)
    const perSecond = ({ latenciesMs, seconds }: typeof whole): number => latenciesMs.length / seconds
    return {
      lines: [
        { what: `pages of ${ROWS} sessions`, figure: perSecond(whole), unit: '/s', bar: { atLeast: 120 } },
        {
          what: `pages of ${ROWS} sessions, p99`,
          figure: distributionOf(whole.latenciesMs).p99,
          unit: 'ms',
          bar: null,
        },
        { what: `pages of ${ROWS} sessions, three fields`, figure: perSecond(slim), unit: '/s', bar: null },
        {
          what: `counts of ${SESSIONS.toLocaleString('en')} sessions, p50`,
          figure: distributionOf(counts.latenciesMs).p50,
          unit: 'ms',
          bar: null,
        },
      ],
      details: { sessions: SESSIONS, pages: paths.length },
      postgres: installation.database.settings,
      doubts: doubtsOf(installation, [whole, slim, counts]),
    }
  },
}

/** Sessions that are at rest: what lists cost depends on how many there are, and not on how they came. */
const manySessions = async (query: (text: string) => Promise<unknown>): Promise<void> => {
  await query(`
    INSERT INTO sessions (id, org_id, user_id, name, template_id, template_name, template_version, placement, platform, desired_state,
                          generation, observed_generation, status, incarnation, labels, parameters, env, spec, persistent_home,
                          cpu_millis, memory_mib, created_at, updated_at, version, revision)
    SELECT gen_random_uuid(), 'default', 'user-' || n % 500, 'session ' || n, gen_random_uuid(), 'hello-web', 1,
           '{"platforms": ["process"], "platform": null, "region": null, "agentId": null}', 'process', 'stopped',
           1, 1, 'stopped', 0, jsonb_build_object('team', 'team-' || n % 200), '{"title": "Hello"}', '{}', '{}', true,
           500, 512, now() - n * interval '1 second', now(), 1, 1
      FROM generate_series(1, ${SESSIONS}) n`)
  await query('VACUUM ANALYZE')
}

/** Paths of the first pages, each with the cursor that the one before has given. */
const pagesOf = async ({ url, token }: { readonly url: string; readonly token: string }) => {
  const paths: string[] = []
  for (let path = `/api/v1/sessions?limit=${ROWS}`; paths.length < PAGES; ) {
    paths.push(path)
    const response = await fetch(`${url}${path}`, { headers: { Authorization: `Bearer ${token}` } })
    const { nextCursor } = (await response.json()) as { nextCursor: string | null }
    if (nextCursor === null) break
    path = `/api/v1/sessions?limit=${ROWS}&cursor=${nextCursor}`
  }
  return paths
}
