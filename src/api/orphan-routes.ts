import { historyByTime } from '../../domain/ports/page.ts'
import { agentId, orgId, sessionId } from './fields.ts'
import {
  agentEventPageCodec,
  approvedCodec,
  approveOrphansCodec,
  listOrphansQuery,
  orgOrphanRemovalCodec,
  orphanPageCodec,
  orphanRemovalCodec,
} from './orphan.ts'
import { pagesQuery } from './page.ts'
import { changing, noQuery, type Route, reading } from './route.ts'
import { adoptOrphanCodec, sessionCodec } from './session.ts'

const ofAgent = { params: { id: agentId } } as const
const ofOrg = { params: { id: orgId } } as const

export const orphanRoutes = {
  listOrphans: {
    ...reading,
    ...ofAgent,
    path: '/api/v1/agents/{id}/orphans',
    tag: 'Agents',
    summary: 'List what an agent has that is no session of its own here, newest first',
    description: 'Those of a shared agent may be of any org: they are the installation’s to see.',
    access: 'operate',
    query: listOrphansQuery,
    answers: { 200: { description: 'A page of orphans', codec: orphanPageCodec } },
  },
  approveOrphans: {
    ...ofAgent,
    method: 'post',
    path: '/api/v1/agents/{id}/orphans/approve',
    tag: 'Agents',
    summary: 'Remove orphans of an agent, past the brake',
    description:
      'All that are there now, or those that are named: then each of them has to be there, or none is approved. What they hold is lost.',
    access: 'operate',
    query: noQuery,
    body: approveOrphansCodec,
    bodyOptional: true,
    condition: null,
    answers: { 202: { description: 'Approved; their removal has begun', codec: approvedCodec } },
    problems: [],
  },
  adoptOrphan: {
    method: 'post',
    path: '/api/v1/agents/{id}/orphans/{sessionId}/adopt',
    tag: 'Agents',
    summary: 'Make an orphan a session again',
    description:
      'What the database has forgotten: the orphan says its id, its generation and how it is, the body whose it is and what it was made from. Nothing is sent to the agent. What runs counts as capacity, also where the agent then has more than its own: it runs there already. Another org than the caller’s own needs an installation key.',
    access: 'operate',
    params: { id: agentId, sessionId },
    query: noQuery,
    body: adoptOrphanCodec,
    condition: null,
    answers: { 201: { description: 'The session', codec: sessionCodec, headers: ['Location', 'ETag'] } },
    problems: ['orphan_not_adoptable', 'unknown_template', 'no_agent', 'invalid_parameters'],
  },
  listAgentEvents: {
    ...reading,
    ...ofAgent,
    path: '/api/v1/agents/{id}/events',
    tag: 'Agents',
    summary: 'What happened to an agent’s orphans, oldest first',
    access: 'operate',
    query: pagesQuery(historyByTime),
    answers: { 200: { description: 'A page of events', codec: agentEventPageCodec } },
  },
  getOrphanRemoval: {
    ...reading,
    path: '/api/v1/orphan-removal',
    tag: 'Agents',
    summary: 'Whether orphans are removed at all',
    access: 'administer_installation',
    params: {},
    answers: { 200: { description: 'As it is', codec: orphanRemovalCodec } },
  },
  haltOrphanRemoval: {
    ...changing,
    method: 'post',
    path: '/api/v1/orphan-removal/halt',
    tag: 'Agents',
    summary: 'Remove no orphan anywhere that is not approved',
    description:
      'Happens by itself when a shared agent shows that the database was restored. Not every restore shows; what an org’s own agent shows halts that org alone.',
    access: 'administer_installation',
    params: {},
    answers: { 200: { description: 'As it is now', codec: orphanRemovalCodec, headers: ['ETag'] } },
  },
  resumeOrphanRemoval: {
    ...changing,
    method: 'post',
    path: '/api/v1/orphan-removal/resume',
    tag: 'Agents',
    summary: 'Remove orphans again, after the database was restored',
    description:
      'Everywhere: of each org’s own agents too, and whoever sends an ETag ends no halt that it has not seen. Grace and brake go on to hold for every agent.',
    access: 'administer_installation',
    params: {},
    answers: { 200: { description: 'As it is now', codec: orphanRemovalCodec, headers: ['ETag'] } },
  },
  getOrgOrphanRemoval: {
    ...reading,
    ...ofOrg,
    path: '/api/v1/orgs/{id}/orphan-removal',
    tag: 'Agents',
    summary: 'Whether orphans of an org’s own agents are removed',
    description: 'As far as it is not halted everywhere, which is the installation’s to see.',
    access: 'operate',
    answers: { 200: { description: 'As it is', codec: orgOrphanRemovalCodec, headers: ['ETag'] } },
  },
  haltOrgOrphanRemoval: {
    ...changing,
    ...ofOrg,
    method: 'post',
    path: '/api/v1/orgs/{id}/orphan-removal/halt',
    tag: 'Agents',
    summary: 'Remove no orphan of an org’s own agents that is not approved',
    description: 'Happens by itself when one of them shows that the database was restored. Not every restore shows.',
    access: 'operate',
    answers: { 200: { description: 'As it is now', codec: orgOrphanRemovalCodec, headers: ['ETag'] } },
  },
  resumeOrgOrphanRemoval: {
    ...changing,
    ...ofOrg,
    method: 'post',
    path: '/api/v1/orgs/{id}/orphan-removal/resume',
    tag: 'Agents',
    summary: 'Remove orphans of an org’s own agents again',
    description: 'As far as it is not halted everywhere. Grace and brake go on to hold.',
    access: 'operate',
    answers: { 200: { description: 'As it is now', codec: orgOrphanRemovalCodec, headers: ['ETag'] } },
  },
} as const satisfies { readonly [operationId: string]: Route }
