/** How a program is run in a network of its own, where that can be done: on Linux, as root, with iproute2. */
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const SCRIPT = fileURLToPath(new URL('own-network.sh', import.meta.url))

/** What goes before the command. null: it cannot be had here, or would be of no use, as the engine is in another one. */
export const ownNetwork = (): readonly string[] | null => {
  if (process.platform !== 'linux' || process.env.DOCKER_HOST) return null
  const before = ['unshare', '--net', SCRIPT]
  const [command = '', ...args] = [...before, 'true']
  return spawnSync(command, args, { stdio: 'ignore' }).status === 0 ? before : null
}
