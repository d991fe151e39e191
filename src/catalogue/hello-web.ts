import type { TemplateDocument } from '../../domain/template/template-codec.ts'

/** Without a program of ours in the image: a page made once, served by busybox. */
const containerScript = `
plain() { printf '%s' "$1" | sed 's/&/\\&amp;/g; s/</\\&lt;/g; s/>/\\&gt;/g'; }
site=$(mktemp -d)
chmod 755 "$site"
cat >"$site/index.html" <<PAGE
<!doctype html><html lang="en"><head><meta charset="utf-8"><title>$(plain "$HELLO_TITLE")</title></head>
<body><h1>$(plain "$HELLO_TITLE")</h1><p>This page is served by a session of StreamSpace.</p>
<p>Session $(plain "$STREAMSPACE_SESSION_ID") of $(plain "$STREAMSPACE_USER"), running since $(date -u)</p></body></html>
PAGE
trap 'exit 0' TERM
httpd -f -p 8080 -h "$site" &
wait
`.trim()

/** The first session that anyone starts: it runs everywhere and shows that it does. */
export const helloWeb: TemplateDocument = {
  name: 'hello-web',
  displayName: 'Hello, web',
  description: 'A page that says which session it is, for whom it runs and since when. Good for a first try.',
  category: 'web',
  icon: 'sparkles',
  tags: ['http', 'example'],
  parameters: [
    {
      name: 'title',
      type: 'string',
      default: 'Hello',
      required: false,
      minLength: 1,
      maxLength: 80,
      description: 'What the page says first',
      env: 'HELLO_TITLE',
    },
  ],
  resources: { cpuMillis: 100, memoryMib: 128 },
  spec: {
    // biome-ignore lint/suspicious/noTemplateCurlyInString: the process agent replaces it
    process: { command: ['node', '${apps}/hello-web.js'] },
    container: {
      image: 'docker.io/library/busybox:1.36',
      command: ['sh', '-c'],
      args: [containerScript],
      user: 1000,
    },
    ports: [{ name: 'http', port: 8080, protocol: 'http' }],
    probe: { type: 'tcp', port: 'http', intervalMs: 250 },
    restart: { policy: 'on-failure', maxRetries: 3 },
    startTimeoutSeconds: 120,
    stopGraceSeconds: 5,
  },
}
