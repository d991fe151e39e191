/** A template for containers: a web server that shows its parameter, once more for each start of the session. */
import { BUSYBOX } from '../support/docker-engine.ts'

export const siteTemplate = (name: string, restart: object) => ({
  name,
  displayName: name,
  parameters: [{ name: 'title', type: 'string', default: 'Home', env: 'TITLE' }],
  resources: { cpuMillis: 250, memoryMib: 64 },
  spec: {
    container: {
      image: BUSYBOX,
      command: ['sh', '-c'],
      args: ['trap "exit 0" TERM; echo "$TITLE" >>index.html; httpd -f -p 8080 -h "$HOME" & wait'],
      user: 1000,
    },
    ports: [{ name: 'http', port: 8080, protocol: 'http' }],
    home: { path: '/home/user' },
    probe: { type: 'http', path: '/', intervalMs: 100 },
    restart,
    stopGraceSeconds: 1,
  },
})
