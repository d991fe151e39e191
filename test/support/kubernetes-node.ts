/** What the one node of a cluster that a script started lacks of a real one. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import type Docker from 'dockerode'

const run = promisify(execFile)

/** `docker`: the engine that runs the node's pods, on this machine. */
export const settleNode = async (docker: Docker): Promise<void> => {
  await hurryPauses(docker)
  await keepServicesHere(docker)
}

const PAUSE = 'pause:test'

/**
 * The container that holds a pod's network ends when it is asked to, as the one of any other cluster does. The script's own
 * waits for its kill, and the kubelet with it: ten seconds for each pod that ends.
 */
const hurryPauses = async (docker: Docker): Promise<void> => {
  const [repo, tag] = PAUSE.split(':')
  const container = await docker.createContainer({ Image: PAUSE }).catch(() => null)
  if (container === null) return
  const command = ['/bin/sh', '-c', "trap 'exit 0' TERM INT; while :; do sleep 3600 & wait; done"]
  await container.commit({ repo, tag, changes: `CMD ${JSON.stringify(command)}` })
  await container.remove()
}

const SERVICES = '10.96.0.0/16'

/**
 * kube-proxy writes its rules table by table: for a moment none is there for a Service whose pod has changed, and what is sent
 * to it then goes wherever this machine sends what it does not know. A proxy there that answers everybody would be taken for the session.
 */
const keepServicesHere = async (docker: Docker): Promise<void> => {
  const { Options } = await docker.getNetwork('bridge').inspect()
  const bridge = Options?.['com.docker.network.bridge.name']
  // Only as root, who has started it, and gone with the bridge.
  if (bridge !== undefined) await run('ip', ['route', 'replace', SERVICES, 'dev', bridge]).catch(() => {})
}
