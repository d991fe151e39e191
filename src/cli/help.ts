/** The end of each command's help: what its options do not say, and examples. One place, so that none is without. */
import type { Command } from 'commander'
import { DEFAULT_URL } from './connection.ts'

type Help = { readonly notes?: string; readonly examples: readonly string[] }

const ofProgram: Help = {
  notes: `Environment, for the commands that ask a server:
  STREAMSPACE_URL       the server (default: ${DEFAULT_URL})
  STREAMSPACE_API_KEY   the key. When it is not set and the server is on this machine, the one is used that
                        npm start keeps in .streamspace/admin-key (STREAMSPACE_DATA_DIR/admin-key)
  STREAMSPACE_ORG       the org in which an installation key acts (default: its own)
  NO_COLOR              no colours; in a pipe there are none either

Exit status: 0 done; 1 failed or refused; 2 asked wrongly.`,
  examples: [
    'template list',
    'session create hello-web --name mine --wait',
    'session list --status running --json',
    'session delete mine --wait',
  ],
}

const AGENT_SETTINGS = `Runs until SIGTERM or SIGINT. Settings: STREAMSPACE_URL, STREAMSPACE_AGENT_ID, and STREAMSPACE_AGENT_TOKEN or
STREAMSPACE_AGENT_TOKEN_FILE (agent enrol gives these), STREAMSPACE_MAX_SESSIONS, STREAMSPACE_CPU_MILLIS,
STREAMSPACE_MEMORY_MIB, STREAMSPACE_DATA_DIR, LOG_LEVEL.`

const runsAgent = (platform: string): Help => ({
  notes: AGENT_SETTINGS,
  examples: [`agent enrol edge-1 --platform ${platform} --token-file token`, `agent ${platform}`],
})

const intent = (name: string): Help => ({
  examples: [`session ${name} mine`, `session ${name} mine --wait --timeout 60`],
})

const ofCommands: { readonly [command: string]: Help } = {
  session: { examples: ['session create hello-web --name mine --wait', 'session list', 'session get mine'] },
  'session create': {
    notes: 'Values of --param become what the template says they are: numbers, true or false, text.',
    examples: [
      'session create hello-web --wait',
      'session create static-site --name docs --param title="Our docs" --param theme=dark',
      'session create hello-web --wait --json | jq -r .endpoint.url',
    ],
  },
  'session list': {
    examples: [
      'session list --status pending,failed',
      "session list --label team=web --all --json | jq -r '.[].id'",
      'session list --label "team in (web,api)" --q payroll --sort name',
    ],
  },
  'session plan': {
    notes: 'Nothing is made. Exit status 1 when no agent could ever take it.',
    examples: ['session plan hello-web', 'session plan hello-web --region eu --json'],
  },
  'session batch': {
    notes: `By ids, or all that the filters find; --expect says how many that are, and with another number nothing is done. Without
it they are counted first, and a delete by filters is refused with their number. Exit status 1 when one of them was refused.`,
    examples: [
      'session batch stop --label team=web --expect 12',
      'session batch delete 01890a5d-ac96-774b-bcce-b302099a8057 01890a5d-ac96-774b-bcce-b302099a8058',
    ],
  },
  'session get': { examples: ['session get mine', 'session get mine --json | jq -r .endpoint.url'] },
  'session watch': {
    notes: `Goes on through lost connections and restarts of the server, and leaves nothing out. Filters are about the
session as it is when its event is read.`,
    examples: [
      'session watch',
      'session watch mine',
      'session watch --type failed --json | jq -r \'.sessionId + " " + .data.reason\'',
    ],
  },
  'session start': intent('start'),
  'session stop': intent('stop'),
  'session hibernate': intent('hibernate'),
  'session wake': intent('wake'),
  'session restart': intent('restart'),
  'session delete': { examples: ['session delete mine', 'session delete mine --wait'] },
  'session events': { examples: ['session events mine', "session events mine --json | jq -r '.[].type'"] },
  'session commands': { examples: ['session commands mine'] },

  template: { examples: ['template list', 'template get hello-web', 'template apply -f mine.yaml'] },
  'template list': { examples: ['template list --platform process', 'template list --tag http --json'] },
  'template get': { examples: ['template get hello-web', 'template get hello-web --json'] },
  'template versions': { examples: ['template versions hello-web'] },
  'template apply': {
    notes:
      'The same content again makes no new version. With --json: the template, or an array when there are several.',
    examples: [
      'template apply -f mine.yaml',
      'template apply -f one.json -f two.yaml',
      'template apply -f - < mine.yaml',
    ],
  },
  'template delete': { examples: ['template delete mine'] },

  command: { examples: ['command list --status pending'] },
  'command list': { examples: ['command list --status dead,expired', 'command list --agent edge-1 --all --json'] },

  'command redrive': {
    notes: `Only while it is the newest command of its session, which then waits again for what is asked of it.`,
    examples: [
      'command redrive 01890a5d-ac96-774b-bcce-b302099a8059',
      "command list --status dead --all --json | jq -r '.[].id' | xargs -n 1 streamspace command redrive",
    ],
  },
  'command cancel': {
    notes: `Its session becomes failed with the reason delivery_failed; one that is being deleted stays deleting, and can
be deleted again. An agent that has the command already may still carry it out.`,
    examples: ['command cancel 01890a5d-ac96-774b-bcce-b302099a8059'],
  },

  job: { examples: ['job list', 'job list duty.sweep --state failed'] },
  'job list': { examples: ['job list', 'job list duty.sweep --state failed,active', 'job list duty.sweep --json'] },
  'job retry': { examples: ['job retry duty.sweep 01890a5d-ac96-774b-bcce-b302099a8059'] },

  status: {
    notes: 'Exit status 1 when the server is not ready or cannot be reached.',
    examples: ['status', "status --json | jq '.sessions.byStatus'"],
  },

  agent: { examples: ['agent list', 'agent enrol edge-1 --platform process', 'agent process'] },
  'agent list': { examples: ['agent list', 'agent list --status offline --json'] },
  'agent get': { examples: ['agent get edge-1'] },
  'agent enrol': {
    notes: `With --token-file it may be run again: an agent that is enrolled already, with a token in that file, is left
as it is.`,
    examples: [
      'agent enrol edge-1 --platform process --region eu-west',
      'agent enrol edge-1 --platform process --token-file /etc/streamspace/agent-token',
    ],
  },
  'agent rotate-token': {
    examples: ['agent rotate-token edge-1', 'agent rotate-token edge-1 --token-file /etc/streamspace/agent-token'],
  },
  'agent cordon': { examples: ['agent cordon edge-1'] },
  'agent uncordon': { examples: ['agent uncordon edge-1'] },
  'agent drain': {
    notes: `Sessions with a persistent home are not moved. agent uncordon ends it. With --wait: until all that can move has; exit status 1
when something stays.`,
    examples: ['agent drain edge-1', 'agent drain edge-1 --wait'],
  },
  'agent drain-progress': { examples: ['agent drain-progress edge-1', 'agent drain-progress edge-1 --json'] },
  'agent orphans': {
    notes: `Nothing of them is removed within STREAMSPACE_ORPHAN_GRACE_MS of the server, nor past the brake (docs/operations.md).`,
    examples: ['agent orphans edge-1', 'agent orphans edge-1 --state removed,gone --all --json'],
  },
  'agent approve-orphans': {
    notes: 'With ids each of them has to be there, or none is approved.',
    examples: [
      'agent approve-orphans edge-1 01890a5d-ac96-774b-bcce-b302099a8057',
      'agent approve-orphans edge-1 --all',
    ],
  },
  'agent adopt': {
    notes: `Nothing is sent to the agent: what runs there goes on, and counts as capacity even beyond the agent's own.
The template, its version and the parameters are what the next start makes it from: say what it was made from.`,
    examples: [
      'agent adopt edge-1 01890a5d-ac96-774b-bcce-b302099a8057 --org default --user admin --template hello-web',
      'agent adopt edge-1 01890a5d-ac96-774b-bcce-b302099a8057 --org acme --user ada --template desk --name Desk --param theme=dark',
    ],
  },
  'agent events': { examples: ['agent events edge-1', "agent events edge-1 --all --json | jq -r '.[].type'"] },
  'agent orphan-removal': {
    notes: `What an org’s own agent says of the database halts that org’s agents alone, what a shared one says all. --resume without --org lets all go on.`,
    examples: [
      'agent orphan-removal',
      'agent orphan-removal --halt',
      'agent orphan-removal --org acme --resume',
      'agent orphan-removal --resume',
    ],
  },
  'agent delete': { examples: ['agent delete edge-1', 'agent delete edge-1 --force'] },
  'agent process': runsAgent('process'),
  'agent docker': runsAgent('docker'),
  'agent kubernetes': runsAgent('kubernetes'),

  org: { examples: ['org list', 'org create acme --name "Acme Ltd"'] },
  'org list': { examples: ['org list', 'org list --json'] },
  'org create': { examples: ['org create acme', 'org create acme --name "Acme Ltd"'] },
  'org quota': {
    notes: `Limits that are not named stay as they are. They hold for what is asked from then on: what an org has already it keeps.
An org's admin may look at its own.`,
    examples: [
      'org quota acme',
      'org quota acme --max-sessions 200 --max-running 50',
      'org quota acme --per-user --max-running 3',
      'org quota acme --template desk --memory-mib 16384 --cpu-millis none',
      'org quota acme --clear',
    ],
  },
  'org usage': {
    examples: ['org usage acme', 'org usage acme --user ada,grace', 'org usage acme --json | jq .running'],
  },
  'org delete': { examples: ['org delete acme'] },
  key: { examples: ['key list', 'key create user --user ada'] },
  'key list': { examples: ['key list', "key list --json | jq -r '.[] | select(.revokedAt == null).prefix'"] },
  'key create': {
    notes: 'Nobody makes a key that may do more than their own. With --key-file nothing secret is printed.',
    examples: [
      'key create user --user ada --name "Ada\'s laptop" --key-file ada.key',
      'key create viewer --expires 2027-01-31T12:00:00Z',
      'key create admin --org acme',
    ],
  },
  'key rotate': {
    notes: 'The new key has an id of its own.',
    examples: ['key rotate 01890a5d-ac96-774b-bcce-b302099a8061 --overlap 3600 --key-file new.key'],
  },
  'key revoke': { examples: ['key revoke 01890a5d-ac96-774b-bcce-b302099a8061'] },

  webhook: { examples: ['webhook list', 'webhook create https://example.com/hook --event failed'] },
  'webhook list': { examples: ['webhook list', 'webhook list --json'] },
  'webhook create': {
    notes: `The secret signs each message, as Standard Webhooks has it (docs/webhooks.md). With --secret-file nothing secret is printed.`,
    examples: [
      'webhook create https://example.com/hook',
      'webhook create https://example.com/hook --event running,failed --label team=web --secret-file hook.secret',
    ],
  },
  'webhook get': { examples: ['webhook get 01890a5d-ac96-774b-bcce-b302099a8062'] },
  'webhook enable': {
    notes: 'What happened while it was disabled is never sent. Deliveries that died can be sent again.',
    examples: ['webhook enable 01890a5d-ac96-774b-bcce-b302099a8062'],
  },
  'webhook disable': { examples: ['webhook disable 01890a5d-ac96-774b-bcce-b302099a8062'] },
  'webhook rotate': {
    notes: 'While both secrets sign (a day, unless --overlap says otherwise) receivers can be told of the new one.',
    examples: ['webhook rotate 01890a5d-ac96-774b-bcce-b302099a8062 --overlap 3600 --secret-file hook.secret'],
  },
  'webhook delete': { examples: ['webhook delete 01890a5d-ac96-774b-bcce-b302099a8062'] },
  'webhook deliveries': {
    examples: ['webhook deliveries 01890a5d-ac96-774b-bcce-b302099a8062 --status dead'],
  },
  'webhook redrive': {
    notes: 'With the same webhook-id, so that a receiver that has it already can tell.',
    examples: [
      'webhook redrive 01890a5d-ac96-774b-bcce-b302099a8062 01890a5d-ac96-774b-bcce-b302099a8063',
      "webhook deliveries ID --status dead --all --json | jq -r '.[].id' | xargs -n 1 streamspace webhook redrive ID",
    ],
  },
  audit: { examples: ['audit list --outcome refused', 'audit export --format csv --output audit.csv'] },
  'audit list': {
    examples: [
      'audit list --actor ada --from 2026-01-31T00:00:00Z',
      'audit list --resource-id 01890a5d-ac96-774b-bcce-b302099a8057',
      "audit list --outcome refused,failed --all --json | jq -r '.[].ip' | sort | uniq -c",
    ],
  },
  'audit export': {
    notes:
      'Oldest first, as it is read from the server: of a year as of a day. One that is cut short ends with status 1.',
    examples: [
      'audit export > audit.ndjson',
      'audit export --format csv --from 2026-01-01T00:00:00Z --output audit.csv',
    ],
  },

  dev: {
    notes: `The same as npm start. Runs until Ctrl-C; what it keeps is in .streamspace (STREAMSPACE_DATA_DIR), the key for
clients in .streamspace/admin-key. Settings: PORT, HOST, DATABASE_URL (default: a PostgreSQL of its own).`,
    examples: ['dev'],
  },
  server: {
    notes: 'Runs until SIGTERM or SIGINT. Needs DATABASE_URL, and a schema that streamspace migrate made.',
    examples: ['server'],
  },
  migrate: { notes: 'Needs DATABASE_URL. May be run from several places at once.', examples: ['migrate'] },
  'secret-key': { examples: ['secret-key reseal'] },
  'secret-key reseal': {
    notes: `Servers do it by themselves within minutes: this does it at once, and says whether all is done. Needs DATABASE_URL,
STREAMSPACE_SECRET_KEY (else the one in the data directory), and the earlier keys in STREAMSPACE_SECRET_KEY_PREVIOUS.`,
    examples: ['secret-key reseal'],
  },
  'admin-key': { examples: ['admin-key reset'] },
  'admin-key reset': {
    notes: 'For someone who lost the key and has rights in the database. Needs DATABASE_URL.',
    examples: ['admin-key reset'],
  },
}

const written = ({ notes, examples }: Help): string =>
  [
    ...(notes === undefined ? [] : ['', notes]),
    '',
    'Examples:',
    ...examples.map((example) => `  streamspace ${example}`),
  ].join('\n')

/** Adds the help of every command; throws for one that has none. */
export const addHelp = (program: Command): void => {
  program.addHelpText('after', written(ofProgram))
  const visit = (command: Command, path: string): void => {
    const help = ofCommands[path]
    if (help === undefined) throw new Error(`the command ${path} has no help`)
    command.addHelpText('after', `${written(help)}\n\nSettings and exit status: streamspace --help`)
    for (const inner of command.commands) visit(inner, `${path} ${inner.name()}`)
  }
  for (const command of program.commands) visit(command, command.name())
}
