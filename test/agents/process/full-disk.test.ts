import { execFileSync } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { eventually } from '../../support/eventually.ts'
import { aSessionId, isRoot, sh, target, workplace } from '../../support/process-agent.ts'

describe('a process agent whose disk is full', () => {
  let disk: string | null = null
  before(function () {
    if (!isRoot || process.platform !== 'linux') return this.skip()
    const folder = mkdtempSync(join(tmpdir(), 'small-disk-'))
    chmodSync(folder, 0o711)
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=2m,mode=711', 'none', folder])
      disk = folder
    } catch {
      rmSync(folder, { recursive: true })
      this.skip()
    }
  })
  after(() => {
    if (disk === null) return
    execFileSync('umount', ['-l', disk])
    rmSync(disk, { recursive: true })
  })

  it('says so, fails starts so that they are tried again, still ends sessions, and recovers', async function () {
    this.timeout(120_000)
    const place = workplace()
    const stateDir = join(disk ?? '', 'state')
    try {
      const agent = await place.agent({ stateDir })
      const [before_, after_, kept] = [aSessionId(), aSessionId(), aSessionId()]
      for (const id of [before_, kept]) await agent.apply(target(id, { command: sh('sleep 600') }))
      const filler = join(disk ?? '', 'filler')
      const { bavail, bsize } = statfsSync(disk ?? '')
      writeFileSync(filler, Buffer.alloc(bavail * bsize))
      const about = target(after_, { command: sh('sleep 600') })
      const refused = await agent.apply(about)
      expect(refused).to.include({ kind: 'failed', code: 'platform_error', retryable: true })
      expect((refused as { message: string }).message).to.match(/^the disk is full/)
      expect(agent.degraded.at(-1)).to.match(/^the disk is full/)
      expect(await agent.inventoryOf(after_)).to.equal(undefined)
      const deleted = await agent.apply(target(before_, {}, { generation: 2, state: 'deleted' }))
      expect(deleted).to.deep.equal({ kind: 'applied', observed: null })
      rmSync(filler)
      await eventually(() => expect(agent.degraded.at(-1)).to.equal(null))
      expect(await agent.apply(about)).to.include({ kind: 'applied' })
      for (const id of [after_, kept]) await agent.apply(target(id, {}, { generation: 9, state: 'deleted' }))
      await agent.close()
    } finally {
      await place.close()
    }
  })
})
