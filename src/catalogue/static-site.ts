import type { TemplateDocument } from '../../domain/template/template-codec.ts'

/** The files of the session's home, as a site. As a process it asks for the access token; busybox cannot. */
export const staticSite: TemplateDocument = {
  name: 'static-site',
  displayName: 'Static site',
  description: "Serves the files of the session's home; the first start makes a page to begin with.",
  category: 'web',
  icon: 'globe',
  tags: ['http', 'files'],
  parameters: [
    {
      name: 'title',
      type: 'string',
      default: 'Home',
      required: false,
      minLength: 1,
      maxLength: 80,
      description: "The first page's title",
      env: 'SITE_TITLE',
    },
    {
      name: 'theme',
      type: 'enum',
      options: ['light', 'dark'],
      default: 'light',
      required: false,
      description: "The first page's colours",
      env: 'SITE_THEME',
    },
  ],
  resources: { cpuMillis: 100, memoryMib: 128 },
  spec: {
    // biome-ignore lint/suspicious/noTemplateCurlyInString: the process agent replaces it
    process: { command: ['node', '${apps}/static-site.js'] },
    container: {
      image: 'docker.io/library/busybox:1.36',
      command: ['httpd'],
      args: ['-f', '-p', '8080', '-h', '/home/user'],
      user: 1000,
    },
    ports: [{ name: 'http', port: 8080, protocol: 'http' }],
    home: { path: '/home/user', sizeMib: 1024 },
    probe: { type: 'tcp', port: 'http', intervalMs: 250 },
    restart: { policy: 'on-failure', maxRetries: 3 },
    startTimeoutSeconds: 120,
    stopGraceSeconds: 5,
  },
}
