/**
 * An API server of a test's own, which it may kill and whose history it may compact: the script named by
 * `STREAMSPACE_TEST_KUBE` starts it without a node (`kube up DIR --control-plane`).
 */
import { execFile, spawn } from 'node:child_process'
import { mkdtemp, readFile, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { createApi } from '../../agents/kubernetes/api.ts'
import { connect } from '../../agents/kubernetes/transport.ts'
import { atEndOfRun } from './end-of-run.ts'
import { eventually } from './eventually.ts'
import type { KubernetesCluster } from './kubernetes-cluster.ts'

const run = promisify(execFile)

/** For `before(needsControlPlane)`. */
export function needsControlPlane(this: Mocha.Context): void {
  if (process.env.STREAMSPACE_TEST_KUBE) return
  const why = 'there is no API server that may be killed: set STREAMSPACE_TEST_KUBE to a script that starts one'
  if (process.env.CI) throw new Error(why)
  console.error(`Tests that kill an API server are skipped: ${why}`)
  this.skip()
}

export type ControlPlane = KubernetesCluster & {
  /** With SIGKILL. */
  readonly killServer: () => Promise<void>
  /** With the arguments that it had; resolves when it is ready. */
  readonly startServer: () => Promise<void>
  /** Forgets all that was: whoever asks for changes since then is answered with 410. */
  readonly compact: () => Promise<void>
  readonly close: () => Promise<void>
}

export const controlPlane = async (): Promise<ControlPlane> => {
  const kube = resolve(process.env.STREAMSPACE_TEST_KUBE ?? '')
  const folder = await mkdtemp(join(tmpdir(), 'streamspace-test-control-plane-'))
  let isUp = true
  const close = async (): Promise<void> => {
    if (isUp) await run(kube, ['down', folder]).catch(() => {})
    isUp = false
  }
  atEndOfRun(close)
  await run(kube, ['up', folder, '--control-plane'])
  const kubeconfig = join(folder, 'kubeconfig')
  const transport = connect(kubeconfig)
  atEndOfRun(async () => transport.close())
  const api = createApi(transport)
  const pid = async (): Promise<number> =>
    Number(/^(\d+) kube-apiserver$/m.exec(await readFile(join(folder, 'pids'), 'utf8'))?.[1])
  const [command = '', ...args] = (await readFile(`/proc/${await pid()}/cmdline`, 'utf8')).split('\0').slice(0, -1)
  const etcd = args[args.indexOf('--etcd-servers') + 1] ?? ''
  let server = await pid()

  const atEtcd = async (path: string, body: object): Promise<{ readonly header: { readonly revision: string } }> => {
    const answer = await fetch(`${etcd}/v3/kv/${path}`, { method: 'POST', body: JSON.stringify(body) })
    if (!answer.ok) throw new Error(`etcd answers ${answer.status}: ${await answer.text()}`)
    return answer.json() as never
  }

  return {
    kubeconfig,
    api,
    dockerHost: null,
    close,
    killServer: async () => {
      process.kill(server, 'SIGKILL')
      await eventually(() => {
        try {
          process.kill(server, 0)
        } catch {
          return
        }
        throw new Error(`process ${server} is still there`)
      })
    },
    startServer: async () => {
      const child = spawn(command, args, { stdio: 'ignore' })
      // Where the script looks for what it is to end.
      const pids = await readFile(join(folder, 'pids'), 'utf8')
      await writeFile(join(folder, 'pids'), pids.replace(/^\d+ kube-apiserver$/m, `${child.pid} kube-apiserver`))
      server = child.pid ?? 0
      await eventually(() => api.call({ method: 'GET', path: '/api/v1/namespaces/default' }), { within: 60_000 })
    },
    compact: async () => {
      const { header } = await atEtcd('range', { key: 'AA==' })
      await atEtcd('compaction', { revision: header.revision, physical: true })
    },
  }
}
