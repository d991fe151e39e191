/**
 * The REST contract as data: every path, what it takes, what it answers, who may. `adapters/http` registers
 * exactly these and checks requests by these codecs; `openapi.ts` writes the document from them.
 */
import { agentRoutes } from './agent-routes.ts'
import { apiKeyRoutes } from './api-key-routes.ts'
import { auditRoutes } from './audit-routes.ts'
import { commandRoutes } from './command-routes.ts'
import { jobRoutes } from './job-routes.ts'
import { orgRoutes } from './org-routes.ts'
import { orphanRoutes } from './orphan-routes.ts'
import { quotaRoutes } from './quota-routes.ts'
import { serverRoutes } from './server-routes.ts'
import { sessionRoutes } from './session-routes.ts'
import { templateRoutes } from './template-routes.ts'
import { webhookRoutes } from './webhook-routes.ts'

export const routes = {
  ...sessionRoutes,
  ...templateRoutes,
  ...agentRoutes,
  ...commandRoutes,
  ...jobRoutes,
  ...orgRoutes,
  ...quotaRoutes,
  ...apiKeyRoutes,
  ...webhookRoutes,
  ...auditRoutes,
  ...orphanRoutes,
  ...serverRoutes,
} as const

export type { Route } from './route.ts'

export type Routes = typeof routes
export type OperationId = keyof Routes
