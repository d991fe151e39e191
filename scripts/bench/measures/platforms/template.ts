/** What is started on both sides of each comparison: a small web server, from an image that is there already. */
import type { TemplateDocument } from '../../../../domain/template/template-codec.ts'
import { BUSYBOX } from '../../../../test/support/docker-engine.ts'

export const PORT = 8080
export const USER = 1000
export const IMAGE = BUSYBOX
export const COMMAND = ['sh', '-c'] as const
/** Where every user may write, in whatever engine. As the first process of a container it has to say that it ends when asked. */
export const ARGS = [
  `trap 'exit 0' TERM; echo here >/dev/shm/index.html; httpd -f -p ${PORT} -h /dev/shm & wait`,
] as const
export const CPU_MILLIS = 100
export const MEMORY_MIB = 32
export const HOME = '/home/user'

/** On Kubernetes the kubelet probes, and counts in seconds. */
export const platformTemplate: TemplateDocument = {
  name: 'platforms',
  displayName: 'Platforms',
  resources: { cpuMillis: CPU_MILLIS, memoryMib: MEMORY_MIB },
  spec: {
    container: { image: IMAGE, command: [...COMMAND], args: [...ARGS], user: USER },
    ports: [{ name: 'http', port: PORT, protocol: 'http' }],
    home: { path: HOME, sizeMib: 16 },
    probe: { type: 'http', port: 'http', path: '/', intervalMs: 100 },
    restart: { policy: 'on-failure', maxRetries: 3 },
    startTimeoutSeconds: 300,
    stopGraceSeconds: 2,
  },
}
