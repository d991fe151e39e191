import type { TemplateDocument } from '../../domain/template/template-codec.ts'

/** A person's files without any other tool: what a session keeps can be looked at and exchanged. */
export const fileBrowser: TemplateDocument = {
  name: 'file-browser',
  displayName: 'File browser',
  description: "Look through the session's home in a browser: upload, download, rename, delete, make folders.",
  category: 'files',
  icon: 'folder',
  tags: ['http', 'files'],
  parameters: [
    {
      name: 'title',
      type: 'string',
      default: 'Files',
      required: false,
      minLength: 1,
      maxLength: 80,
      description: "The page's title",
      env: 'BROWSER_TITLE',
    },
  ],
  resources: { cpuMillis: 100, memoryMib: 192 },
  spec: {
    // biome-ignore lint/suspicious/noTemplateCurlyInString: the process agent replaces it
    process: { command: ['node', '${apps}/file-browser.js'] },
    ports: [{ name: 'http', protocol: 'http' }],
    home: { sizeMib: 10_240 },
    probe: { type: 'http', port: 'http', path: '/healthz', intervalMs: 250 },
    restart: { policy: 'on-failure', maxRetries: 3 },
    startTimeoutSeconds: 60,
    stopGraceSeconds: 5,
  },
}
