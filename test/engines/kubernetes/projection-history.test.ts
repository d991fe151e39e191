/** A server, an agent and a cluster: `kubectl get sessions` and the REST API say the same, and an edit is in the history. */
import { join } from 'node:path'
import { expect } from 'chai'
import { kinds } from '../../../agents/kubernetes/kinds.ts'
import { eventually } from '../../e2e/support/eventually.ts'
import { scene } from '../../e2e/support/scene.ts'
import { agent, enrol, migratedDatabase, type Server, server } from '../../e2e/support/streamspace.ts'
import { putTemplate } from '../../e2e/support/templates.ts'
import { BUSYBOX, kubernetesCluster, needsKubernetes, START_MS } from '../../support/kubernetes-cluster.ts'
import { type ProjectionPlace, projectionPlace } from './projection-place.ts'

const AGENT = 'kubernetes-1'
const PATIENCE_MS = 90_000

describe('the projection of a database into a cluster', function () {
  this.timeout(180_000)
  const here = scene('suite')
  let place: ProjectionPlace
  let control: Server

  before(async function () {
    needsKubernetes.call(this)
    this.timeout(START_MS)
    const cluster = await kubernetesCluster()
    place = await projectionPlace(cluster)
    control = await server(here, await migratedDatabase(here), { STREAMSPACE_HEARTBEAT_INTERVAL_MS: '500' })
    const token = await enrol(control.rest, AGENT, 'kubernetes')
    const dataDir = join(await here.folder(), 'agent')
    const settings = {
      KUBECONFIG: cluster.kubeconfig,
      STREAMSPACE_NAMESPACE: place.namespace.name,
      STREAMSPACE_LEASE: 'false',
      STREAMSPACE_PROJECTION: 'true',
    }
    agent(here, { id: AGENT, token, url: control.url, dataDir, platform: 'kubernetes' }, settings)
    await putTemplate(control.rest, {
      name: 'page',
      displayName: 'Page',
      resources: { cpuMillis: 250, memoryMib: 64 },
      spec: {
        container: {
          image: BUSYBOX,
          command: ['sh', '-c'],
          args: ['trap "exit 0" TERM; httpd -f -p 8080 -h "$HOME" & wait'],
          user: 1000,
        },
        ports: [{ name: 'http', port: 8080, protocol: 'http' }],
        home: { path: '/home/user' },
        stopGraceSeconds: 1,
      },
    })
  })
  after(() => place?.close())

  const bothSay = (id: string, status: string): Promise<void> =>
    eventually(
      async () => {
        const session = await control.rest.session(id)
        expect(session.status).to.equal(status)
        const shown = await place.session(id)
        expect(shown?.status?.reason ?? null).to.equal(session.statusReason)
        expect(shown?.status).to.include({ status, observedGeneration: session.observedGeneration })
        expect(shown?.spec).to.deep.include({
          name: session.name,
          desiredState: session.desiredState,
          generation: session.generation,
        })
      },
      { within: PATIENCE_MS },
    )

  it('says what the API says, and has in the history who edited it', async () => {
    const { id } = await control.rest.create({ template: 'page', name: 'my page' })
    await bothSay(id, 'running')
    await place.edit(kinds.session, `session-${id}`, { spec: { desiredState: 'stopped' } })
    const told = await eventually(
      async () => {
        const { items } = (await control.rest.get(`/sessions/${id}/events`)).body
        const event = items.find(({ type }: { type: string }) => type === 'projection_edited')
        expect(event, JSON.stringify(items)).to.not.equal(undefined)
        return event
      },
      { within: 5_000 },
    )
    expect(told).to.include({ actor: `agent:${AGENT}` })
    expect(told.data.message).to.include('spec.desiredState was changed by kubectl-edit and put back')
    await bothSay(id, 'running')
    expect((await control.rest.session(id)).statusMessage).to.equal(null)
    expect((await control.rest.post(`/sessions/${id}/stop`)).status).to.equal(202)
    await bothSay(id, 'stopped')
    await control.rest.ask('DELETE', `/sessions/${id}`)
    await control.rest.gone(id, PATIENCE_MS)
    await eventually(async () => expect(await place.shown(kinds.session)).to.deep.equal([]), { within: 5_000 })
  })
})
