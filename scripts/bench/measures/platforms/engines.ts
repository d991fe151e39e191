/** Engines for measures: those of the environment, or one for this run. Whoever asks in vain is told why in one line. */
import { fileURLToPath } from 'node:url'
import { whyNoDocker } from '../../../../test/support/docker-engine.ts'
import { kubeScript, whyNoKubernetes } from '../../../../test/support/kubernetes-cluster.ts'
import type { Bench } from '../../bench.ts'
import { NotHere } from '../../measure.ts'
import { startProgram } from '../../program.ts'

const PROGRAM = fileURLToPath(new URL('engine-program.ts', import.meta.url))
const START_WITHIN_MS = 240_000
const END_WITHIN_MS = 120_000

const startEngine = async (bench: Bench, what: 'docker' | 'kubernetes' | 'control-plane'): Promise<string> => {
  const { DOCKER_HOST, KUBECONFIG, STREAMSPACE_TEST_KUBE } = process.env
  const program = await startProgram(bench, {
    what: `the engine (${what})`,
    command: process.execPath,
    args: [PROGRAM, what],
    env: { DOCKER_HOST, KUBECONFIG, STREAMSPACE_TEST_KUBE },
    endWithinMs: END_WITHIN_MS,
  })
  return program.line((line) => (line.startsWith('{"engine"') ? JSON.parse(line).engine : null), START_WITHIN_MS)
}

/** Answers what goes into `DOCKER_HOST`. */
export const startDocker = (bench: Bench): Promise<string> => {
  const why = whyNoDocker()
  if (why !== null) throw new NotHere(why)
  return startEngine(bench, 'docker')
}

/** Answers the path of a kubeconfig. */
export const startKubernetes = (bench: Bench): Promise<string> => {
  const why = whyNoKubernetes()
  if (why !== null) throw new NotHere(why)
  return startEngine(bench, 'kubernetes')
}

/** A cluster without nodes, for this run alone: a thousand sessions are not put into somebody's. */
export const startControlPlane = (bench: Bench): Promise<string> => {
  if (kubeScript() === null)
    throw new NotHere('needs a control plane of its own: set STREAMSPACE_TEST_KUBE to a script that starts one')
  return startEngine(bench, 'control-plane')
}
