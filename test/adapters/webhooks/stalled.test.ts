/** An answer that came in time and is read late. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect } from 'chai'
import { createSendWebhook } from '../../../adapters/webhooks/send.ts'
import { createTargets } from '../../../adapters/webhooks/targets.ts'
import type { DueDelivery } from '../../../domain/ports/webhooks.ts'
import { standStill } from '../../support/stand-still.ts'

describe('the answer to a webhook', () => {
  it('that came in time counts, though this process had to wait for its turn: it would be sent twice', async () => {
    const server = createServer((_request, response) => {
      response.writeHead(204).end()
      standStill(1_100)
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    try {
      const targets = createTargets(['127.0.0.0/8'])
      const send = createSendWebhook({
        targets,
        timeoutMs: 1_000,
        userAgent: 'streamspace/test',
        now: () => new Date(),
      })
      const delivery = {
        id: '01890a5d-ac96-774b-bcce-b302099a8063',
        url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
        body: '{}',
        secrets: [`whsec_${Buffer.alloc(32, 1).toString('base64')}`],
        attempts: 1,
      } as unknown as DueDelivery
      expect(await send(delivery)).to.deep.equal({ kind: 'delivered', responseStatus: 204 })
    } finally {
      server.close()
    }
  })
})
