import { lookup } from 'node:dns'
import { promisify } from 'node:util'
import { expect } from 'chai'
import { createCheckTarget } from '../../../adapters/webhooks/check-target.ts'
import { createSendWebhook } from '../../../adapters/webhooks/send.ts'
import { createTargets, hostOf, type Targets } from '../../../adapters/webhooks/targets.ts'
import type { AllowedTargets, DueDelivery } from '../../../domain/ports/webhooks.ts'
import { receiver, verify } from '../../support/webhook-receiver.ts'

/** As one writes them in a URL. */
const REFUSED = [
  '127.0.0.1',
  '127.1',
  '2130706433',
  '0x7f000001',
  '0x7f.1',
  '0177.0.0.1',
  '017700000001',
  '0',
  '0.0.0.0',
  '10.1.2.3',
  '172.16.0.1',
  '172.31.255.254',
  '192.168.1.1',
  '100.64.0.1',
  '169.254.169.254',
  '0xa9fea9fe',
  '192.0.0.1',
  '192.0.2.1',
  '198.18.0.1',
  '198.51.100.1',
  '203.0.113.1',
  '224.0.0.1',
  '240.0.0.1',
  '255.255.255.255',
  '[::]',
  '[::1]',
  '[::127.0.0.1]',
  '[::ffff:127.0.0.1]',
  '[::ffff:a9fe:a9fe]',
  '[0:0:0:0:0:ffff:10.0.0.1]',
  '[::ffff:0:10.0.0.1]',
  '[64:ff9b::10.0.0.1]',
  '[64:ff9b:1::10.0.0.1]',
  '[2002:0a00:0001::1]',
  '[2001:0:4136:e378:8000:63bf:3fff:fdd2]',
  '[fe80::1]',
  '[fec0::1]',
  '[fc00::1]',
  '[fd12:3456::1]',
  '[ff02::1]',
  '[2001:db8::1]',
  '[3fff::1]',
  '[100::1]',
  '[5f00::1]',
  '[4000::1]',
] as const
const TAKEN = ['8.8.8.8', '93.184.215.14', '172.32.0.1', '[2606:4700:4700::1111]', '[::ffff:8.8.8.8]'] as const

const hostIn = (host: string): string => hostOf(new URL(`http://${host}/`))

const delivery = (url: string): DueDelivery =>
  ({
    id: '01890a5d-ac96-774b-bcce-b302099a8063',
    webhookId: '01890a5d-ac96-774b-bcce-b302099a8062',
    orgId: 'acme',
    url,
    body: '{"type":"running","text":"ünï\\u0000"}',
    secrets: [`whsec_${Buffer.alloc(32, 1).toString('base64')}`, `whsec_${Buffer.alloc(32, 2).toString('base64')}`],
    attempts: 1,
  }) as never

/** What has to be answered is given all the time that a machine with other things to do may take. */
const sender = (targets: Targets, timeoutMs = 20_000) =>
  createSendWebhook({ targets, timeoutMs, userAgent: 'streamspace/test', now: () => new Date() })

describe('a webhook’s address', () => {
  const strict = createTargets([])

  for (const host of REFUSED)
    it(`is refused: ${host}`, async () => {
      expect(strict.mayConnectTo(hostIn(host))).to.equal(false)
      expect(createCheckTarget(strict)(`http://${host}:8080/`)).to.contain('private or reserved')
      const attempt = await sender(strict)(delivery(`http://${host}:8080/`))
      expect(attempt).to.deep.include({ kind: 'failed', responseStatus: null })
      expect((attempt as { error: string }).error).to.contain('private or reserved')
    })
  for (const host of TAKEN)
    it(`is taken: ${host}`, async () => {
      expect(strict.mayConnectTo(hostIn(host))).to.equal(true)
      expect(createCheckTarget(strict)(`https://${host}/`)).to.equal(null)
    })

  it('is allowed by a network that a setting names, and by nothing beside it', () => {
    const targets = createTargets(['10.0.0.0/8', 'fd00::/8'])
    const told = ['10.255.0.1', '[::ffff:10.0.0.1]', '[fd12::1]', '192.168.0.1', '[fc12::1]', '127.0.0.1'].map((host) =>
      targets.mayConnectTo(hostIn(host)),
    )
    expect(told).to.deep.equal([true, true, true, false, false, false])
    expect(createTargets('all').mayConnectTo('127.0.0.1')).to.equal(true)
  })

  it('with a zone is of this machine alone', () => {
    expect(strict.mayConnectTo('fe80::1%eth0')).to.equal(false)
    expect(createTargets(['::/0']).mayConnectTo('2606:4700::1%eth0')).to.equal(false)
  })

  for (const host of [
    'localhost',
    'LOCALHOST',
    'localhost.',
    'db',
    'db.',
    'a.localhost',
    'vault.service.internal',
    'nas.local.',
    'x.home.arpa',
  ])
    it(`is refused as a name of private networks, unless some are allowed: ${host}`, () => {
      expect(createCheckTarget(strict)(`https://${host}/`)).to.contain('private or reserved')
      expect(createCheckTarget(createTargets(['10.0.0.0/8']))(`https://${host}/`)).to.equal(null)
    })

  for (const host of [
    'example.com',
    'example.com.',
    'local.example.com',
    'internal.example.com',
    'localhost.example.com',
  ])
    it(`is taken as a name of the public internet: ${host}`, () =>
      expect(createCheckTarget(strict)(`https://${host}/`)).to.equal(null))

  it('that is a name is judged by where it leads, and told no differently from one that leads nowhere', async () => {
    expect((await promisify(lookup)('localhost', { all: true })).length).to.be.greaterThan(0)
    const [leadsHere, nowhere] = await Promise.all(
      ['localhost', 'nobody-has-this.invalid'].map((host) => sender(strict, 20_000)(delivery(`http://${host}:9/`))),
    )
    expect(leadsHere).to.deep.equal(nowhere)
    expect((leadsHere as { error: string }).error).to.contain('not known, or its address is private or reserved')
  })

  it('is judged when it is connected to, whatever was said before', async () => {
    const there = await receiver()
    try {
      const { port } = new URL(there.url)
      // It was taken under another setting.
      const loopback: AllowedTargets = ['127.0.0.0/8', '::1/128']
      expect(createCheckTarget(createTargets(loopback))(`http://localhost:${port}/`)).to.equal(null)
      const attempt = await sender(strict)(delivery(`http://localhost:${port}/`))
      expect(attempt.kind).to.equal('failed')
      expect(there.messages).to.deep.equal([])
      expect((await sender(createTargets(loopback))(delivery(`http://localhost:${port}/`))).kind).to.equal('delivered')
    } finally {
      await there.close()
    }
  })
})

describe('sending a webhook', () => {
  const targets = createTargets(['127.0.0.0/8'])

  it('is one POST with a signature by each secret, over the bytes that are sent', async () => {
    const there = await receiver()
    try {
      const due = delivery(there.url)
      expect(await sender(targets)(due)).to.deep.equal({ kind: 'delivered', responseStatus: 204 })
      const [message] = there.messages
      expect(message?.text).to.equal(due.body)
      for (const secret of due.secrets) verify(secret, message as never)
      expect(String(message?.headers['webhook-signature']).split(' ')).to.have.length(2)
      expect(message?.headers['user-agent']).to.equal('streamspace/test')
      expect(() => verify('whsec_b3RoZXI=', message as never)).to.throw()
    } finally {
      await there.close()
    }
  })

  it('goes to nobody else where the answer is a redirect', async () => {
    const elsewhere = await receiver()
    const there = await receiver(() => ({ status: 307, location: elsewhere.url }))
    try {
      expect(await sender(targets)(delivery(there.url))).to.deep.include({ kind: 'failed', responseStatus: 307 })
      expect(elsewhere.messages).to.deep.equal([])
    } finally {
      await Promise.all([there.close(), elsewhere.close()])
    }
  })

  it('ends in time where nobody answers, and says what the receiver said, in words that name no address', async () => {
    const there = await receiver(() => null)
    expect(await sender(targets, 200)(delivery(there.url))).to.deep.include({ error: 'no answer within 200 ms' })
    there.answers(() => 503)
    expect(await sender(targets)(delivery(there.url))).to.deep.include({ kind: 'failed', error: 'answered 503' })
    there.answers(() => 410)
    expect(await sender(targets)(delivery(there.url))).to.deep.include({ kind: 'gone', responseStatus: 410 })
    await there.close()
    const refused = await sender(targets)(delivery(there.url))
    expect(refused).to.deep.include({ error: 'the connection was refused' })
  })
})
