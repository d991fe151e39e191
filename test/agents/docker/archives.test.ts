import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import type { Session, Surroundings } from '../../../agents/docker/session.ts'
import { refuseAnotherOrg } from '../../../agents/docker/sharing.ts'
import { localRoutes } from '../../../agents/docker/subnets.ts'
import { firstFile, folderArchive } from '../../../agents/docker/tar.ts'

describe('archives as the engine takes and gives them', () => {
  let folder: string
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'archives-'))
  })
  after(() => rmSync(folder, { recursive: true, force: true }))

  for (const [uid, gid] of [
    [0, 0],
    [1_000, 100],
    [0o7777777, 0o7777777],
    [0o10000000, 2_147_483_647],
  ] as const)
    it(`say to tar(1) that a folder is of user ${uid} and group ${gid}`, () => {
      const path = join(folder, 'one.tar')
      writeFileSync(path, folderArchive('user', { uid, gid, mode: 0o755 }))
      const listed = execFileSync('tar', ['--numeric-owner', '-tvf', path], { encoding: 'utf8' })
      expect(listed).to.match(new RegExp(`^drwxr-xr-x ${uid}/${gid} .* user/\\n$`))
    })

  for (const name of ['n'.repeat(99), 'n'.repeat(100), 'n'.repeat(254), 'ü'.repeat(100)])
    it(`say to tar(1) a name of ${Buffer.byteLength(name)} bytes whole`, () => {
      const path = join(folder, 'long.tar')
      writeFileSync(path, folderArchive(name, { uid: 1_000, gid: 1_000, mode: 0o755 }))
      const listed = execFileSync('tar', ['--quoting-style=literal', '-tf', path], { encoding: 'utf8' })
      expect(listed).to.equal(`${name}/\n`)
    })

  it('give the first file of what tar(1) has packed, and nothing of a folder', () => {
    writeFileSync(join(folder, 'passwd'), 'root:x:0:0::/:/bin/sh\n')
    const packed = execFileSync('tar', ['--format=ustar', '-C', folder, '-c', 'passwd'])
    expect(firstFile(packed)?.toString()).to.equal('root:x:0:0::/:/bin/sh\n')
    expect(firstFile(folderArchive('passwd', { uid: 0, gid: 0, mode: 0o755 }))).to.equal(null)
    expect(firstFile(Buffer.alloc(10))).to.equal(null)
  })
})

describe('routes of this machine', () => {
  it('are read as the kernel writes them, without the default one', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'routes-'))
    const path = join(folder, 'route')
    const lines = [
      'Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT',
      'eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0',
      'br-1\t0000D50A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0',
      'tun0\t0000100A\t00000000\t0001\t0\t0\t0\t0000F0FF\t0\t0\t0',
      'ppp0\t01020304\t00000000\t0005\t0\t0\t0\tFFFFFFFF\t0\t0\t0',
      'odd\tnothing',
    ]
    writeFileSync(path, `${lines.join('\n')}\n`)
    try {
      expect(await localRoutes(path)).to.deep.equal(['10.213.0.0/24', '10.16.0.0/12', '4.3.2.1/32'])
      expect(await localRoutes(join(folder, 'no-such-file'))).to.deep.equal([])
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })
})

describe('sessions of a second org on one engine', () => {
  const session = (orgId: string) => ({ orgId }) as Session
  const around = (publishAddress: string, sessions: readonly Session[], allowShared = false) =>
    ({
      settings: { publishAddress, allowShared },
      sessions: new Map(sessions.map((one, index) => [String(index), one])),
    }) as unknown as Surroundings

  it('are refused only where ports are published on more than loopback, and nobody said that it is safe', () => {
    const held = [session('acme')]
    expect(refuseAnotherOrg(around('192.0.2.1', held), null, 'globex')).to.include({ kind: 'failed', retryable: false })
    expect(refuseAnotherOrg(around('0.0.0.0', held), null, 'globex')).to.include({ code: 'rejected' })
    expect(refuseAnotherOrg(around('192.0.2.1', held), null, 'acme')).to.equal(null)
    expect(refuseAnotherOrg(around('192.0.2.1', held, true), null, 'globex')).to.equal(null)
    for (const loopback of ['127.0.0.1', '127.9.9.9', '::1'])
      expect(refuseAnotherOrg(around(loopback, held), null, 'globex')).to.equal(null)
  })

  it('a session does not stand in its own way', () => {
    const own = session('acme')
    expect(refuseAnotherOrg(around('192.0.2.1', [own]), own, 'globex')).to.equal(null)
  })
})
