/** From the request to a session that runs, held against the bare engine that starts the same: one, and a hundred in one go. */
import type { Bench } from '../../bench.ts'
import type { Line, Measure, Measured } from '../../measure.ts'
import { median } from '../../percentiles.ts'
import { doubtsOf } from '../doubts.ts'
import { bareDocker, AT_ONCE as DOCKER_AT_ONCE } from './bare-docker.ts'
import { bareKubernetes, AT_ONCE as KUBERNETES_AT_ONCE, namespaceFor } from './bare-kubernetes.ts'
import { startDocker, startKubernetes } from './engines.ts'
import { type Product, startProduct } from './product.ts'
import { inTurn, manyInTurn, type Side } from './side.ts'

type Arena = { readonly bare: Side; readonly product: Product }

type Platform = {
  readonly name: 'docker' | 'kubernetes'
  readonly title: string
  readonly arena: (bench: Bench) => Promise<Arena>
  /** Starts on each side, one after another. */
  readonly runs: number
  /** What the engine still does when something is gone. */
  readonly restMs: number
  /** Milliseconds above the bare engine, at the median. */
  readonly atMostMs: number
  /** How many of the many the bare side starts at a time. */
  readonly atOnce: number
  readonly rounds: number
}

const docker: Platform = {
  name: 'docker',
  title: 'Docker',
  runs: 20,
  restMs: 500,
  atMostMs: 200,
  atOnce: DOCKER_AT_ONCE,
  rounds: 3,
  arena: async (bench) => {
    const host = await startDocker(bench)
    const product = await startProduct(bench, 'docker', { DOCKER_HOST: host })
    return { bare: await bareDocker(bench, host), product }
  },
}

const kubernetes: Platform = {
  name: 'kubernetes',
  title: 'Kubernetes',
  runs: 8,
  restMs: 8_000,
  atMostMs: 400,
  atOnce: KUBERNETES_AT_ONCE,
  rounds: 1,
  arena: async (bench) => {
    const kubeconfig = await startKubernetes(bench)
    const { name } = await namespaceFor(bench, kubeconfig)
    const product = await startProduct(bench, 'kubernetes', { KUBECONFIG: kubeconfig, STREAMSPACE_NAMESPACE: name })
    return { bare: await bareKubernetes(bench, kubeconfig), product }
  },
}

const MANY = 100
const MANY_AT_MOST = 1.3

const scaled = (count: number, { scale }: Bench): number => Math.max(1, Math.round(count * scale))

const measured = (product: Product, lines: readonly Line[], details: Measured['details']): Measured => ({
  lines,
  details,
  postgres: product.installation.database.settings,
  doubts: doubtsOf(product.installation, []),
})

const oneOf = ({ name, title, arena, runs, restMs, atMostMs }: Platform): Measure => ({
  name: `${name}-start`,
  groups: ['platforms', name],
  about: `created to running on ${title} beside the bare engine, ${runs} each in turn`,
  run: async (bench) => {
    const pair = await arena(bench)
    const { bare, product, ms } = await inTurn(pair, scaled(runs, bench), restMs)
    const ratio = `${(product.p50 / bare.p50).toFixed(2)} ×; ${product.count} each`
    const lines: readonly Line[] = [
      { what: `bare ${title}, started to answering, p50`, figure: bare.p50, unit: 'ms', bar: null },
      { what: `bare ${title}, started to answering, p95`, figure: bare.p95, unit: 'ms', bar: null },
      { what: `created to running, ${title}, p50`, figure: product.p50, unit: 'ms', bar: null },
      { what: `created to running, ${title}, p95`, figure: product.p95, unit: 'ms', bar: null },
      {
        what: `above bare ${title}, p50`,
        figure: product.p50 - bare.p50,
        unit: 'ms',
        bar: { atMost: atMostMs },
        note: ratio,
      },
    ]
    return measured(pair.product, lines, { bare, product, ms })
  },
})

const manyOf = ({ name, title, arena, atOnce, rounds }: Platform): Measure => ({
  name: `${name}-hundred`,
  groups: ['platforms', name],
  about: `${MANY} sessions on ${title} created in one go, until all run, beside the bare engine, ${rounds} each in turn`,
  run: async (bench) => {
    const pair = await arena(bench)
    const count = scaled(MANY, bench)
    const ms = await manyInTurn(pair, count, rounds)
    const [bareS, productS] = [median(ms.bare) / 1_000, median(ms.product) / 1_000]
    const each = `${rounds} each`
    const lines: readonly Line[] = [
      {
        what: `bare ${title}, ${count} started, ${atOnce} at a time`,
        figure: bareS,
        unit: 's',
        bar: null,
        note: `median of ${rounds}`,
      },
      { what: `${count} sessions on ${title} in one go, all running`, figure: productS, unit: 's', bar: null },
      {
        what: `${count} sessions, of bare ${title}`,
        figure: productS / bareS,
        unit: '×',
        bar: { atMost: MANY_AT_MOST },
        note: each,
      },
    ]
    return measured(pair.product, lines, { ms, count, atOnce })
  },
})

export const starts: readonly Measure[] = [docker, kubernetes].flatMap((platform) => [
  oneOf(platform),
  manyOf(platform),
])
