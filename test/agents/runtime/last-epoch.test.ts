import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { openLastEpoch } from '../../../agents/runtime/last-epoch.ts'
import { agentsUnderTest, collectingLog } from '../../support/agents-under-test.ts'

describe('the last epoch', () => {
  const { directory } = agentsUnderTest()

  it('is unknown to an agent that was never welcomed', async () => {
    const { log, lines } = collectingLog()
    const lastEpoch = await openLastEpoch(join(await directory(), 'new', 'last-epoch'), log)
    expect(lastEpoch.get()).to.equal(null)
    expect(lines).to.deep.equal([])
  })

  it('is the highest ever raised, and survives the process', async () => {
    const path = join(await directory(), 'made-on-the-way', 'last-epoch')
    const first = await openLastEpoch(path, collectingLog().log)
    for (const epoch of [3, 9, 4]) first.raise(epoch)
    expect(first.get()).to.equal(9)
    await first.written()
    expect((await openLastEpoch(path, collectingLog().log)).get()).to.equal(9)
    expect(await readFile(path, 'utf8')).to.equal('9\n')
  })

  it('leaves nothing beside its file', async () => {
    const folder = await directory()
    const lastEpoch = await openLastEpoch(join(folder, 'last-epoch'), collectingLog().log)
    for (let epoch = 1; epoch < 20; epoch += 1) lastEpoch.raise(epoch)
    await lastEpoch.written()
    expect(await readdir(folder)).to.deep.equal(['last-epoch'])
  })

  for (const damaged of ['', 'nine', '-3', '99999999999999999999', '{"epoch":3}'])
    it(`ignores a damaged file and says so: ${JSON.stringify(damaged)}`, async () => {
      const path = join(await directory(), 'last-epoch')
      await writeFile(path, damaged)
      const { log, lines } = collectingLog()
      const lastEpoch = await openLastEpoch(path, log)
      expect(lastEpoch.get()).to.equal(null)
      expect(lines.map((line) => line.level)).to.deep.equal(['warn'])
      lastEpoch.raise(2)
      await lastEpoch.written()
      expect((await openLastEpoch(path, log)).get()).to.equal(2)
    })

  it('is kept in memory where it cannot be written', async () => {
    const path = join(await directory(), 'last-epoch')
    await mkdir(path)
    const { log, lines } = collectingLog()
    const lastEpoch = await openLastEpoch(path, log)
    lastEpoch.raise(5)
    await lastEpoch.written()
    expect(lastEpoch.get()).to.equal(5)
    expect(lines.at(-1)).to.include({ level: 'warn', message: 'the last epoch could not be written' })
  })
})
