/** The template of the benchmark's sessions: the example of the template documentation, of a usual size. */
import type { TemplateDocument } from '../../domain/template/template-codec.ts'

export const benchTemplate: TemplateDocument = {
  name: 'bench',
  displayName: 'Benchmark',
  description: "Serves the files of the session's home",
  category: 'web',
  icon: 'globe',
  tags: ['http'],
  parameters: [
    { name: 'title', type: 'string', default: 'Home', required: false, maxLength: 80, env: 'SITE_TITLE' },
    { name: 'theme', type: 'enum', options: ['light', 'dark'], default: 'light', env: 'SITE_THEME' },
  ],
  resources: { cpuMillis: 250, memoryMib: 128 },
  spec: {
    // biome-ignore lint/suspicious/noTemplateCurlyInString: the agent's placeholder, not ours
    process: { command: ['node', '${apps}/static-site.js'] },
    ports: [{ name: 'http', port: 8080, protocol: 'http' }],
    home: { path: '/home/user', sizeMib: 1024 },
    probe: { type: 'http', port: 'http', path: '/', intervalMs: 500 },
    restart: { policy: 'on-failure', maxRetries: 3 },
    startTimeoutSeconds: 300,
    stopGraceSeconds: 10,
  },
}

/** What is asked of `POST /sessions`. */
export const CREATE = { template: benchTemplate.name } as const

/** A load plan that creates sessions at a steady rate, whatever became of the earlier ones. */
export const createsAt = (perSecond: number, seconds: number, warmUpSeconds = 5) =>
  ({
    method: 'POST',
    paths: ['/api/v1/sessions'],
    body: JSON.stringify(CREATE),
    expect: 201,
    connections: 64,
    pace: { kind: 'open', perSecond },
    warmUpSeconds,
    seconds,
  }) as const
