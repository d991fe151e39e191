/**
 * A process that has an engine, as the tests have it, for as long as it lives: it says where in one line of JSON. Its own,
 * because those supports end the process that they are in when it is interrupted.
 *
 *   node engine-program.ts docker | kubernetes | control-plane
 */
import { execFile } from 'node:child_process'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { dockerEngine } from '../../../../test/support/docker-engine.ts'
import { atEndOfRun } from '../../../../test/support/end-of-run.ts'
import { kubernetesCluster, kubeScript } from '../../../../test/support/kubernetes-cluster.ts'

const run = promisify(execFile)

/** API server, store, controllers and scheduler, and no nodes: what is asked for stays asked for. */
const controlPlane = async (): Promise<string> => {
  const kube = kubeScript() ?? ''
  const folder = await mkdtemp(join(tmpdir(), 'streamspace-bench-kube-'))
  atEndOfRun(async () => void (await run(kube, ['down', folder]).catch(() => {})))
  const { stdout } = await run(kube, ['up', folder, '--control-plane'])
  const kubeconfig = /export KUBECONFIG=(\S+)/.exec(stdout)?.[1]
  if (kubeconfig === undefined) throw new Error(`${kube} up did not say where its kubeconfig is: ${stdout}`)
  return kubeconfig
}

const engines: { readonly [name: string]: () => Promise<string> } = {
  docker: async () => (await dockerEngine()).host,
  kubernetes: async () => (await kubernetesCluster()).kubeconfig,
  'control-plane': controlPlane,
}

const start = engines[process.argv[2] ?? '']
if (start === undefined) throw new Error(`one of ${Object.keys(engines).join(', ')}, not ${process.argv[2]}`)
process.stdout.write(`${JSON.stringify({ engine: await start() })}\n`)
// Until a signal says that it is over (test/support/end-of-run.ts).
setInterval(() => {}, 2 ** 30)
