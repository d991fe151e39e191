import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import {
  DataDirectoryInUse,
  type DataDirectoryLock,
  lockDataDirectory,
} from '../../../adapters/embedded-postgres/data-directory-lock.ts'

const lockModule = new URL('../../../adapters/embedded-postgres/data-directory-lock.ts', import.meta.url).href

/** Says whether it got the lock, and keeps it until it is killed. */
const contender = `
  const { lockDataDirectory } = await import(${JSON.stringify(lockModule)})
  const got = await lockDataDirectory(process.argv[1]).then(() => 'got', (error) => 'refused: ' + error.message)
  process.stdout.write(got)
  setInterval(() => {}, 60_000)`

describe('the lock of a data directory', () => {
  let home: string
  let directory: string
  let children: ChildProcess[]

  beforeEach(async () => {
    home = await mkdtemp(join(tmpdir(), 'streamspace-lock-'))
    directory = join(home, 'data')
    children = []
  })
  afterEach(async () => {
    for (const child of children) child.kill('SIGKILL')
    await rm(home, { recursive: true, force: true })
  })

  const contend = async (): Promise<{ child: ChildProcess; answer: string }> => {
    const args = ['--input-type=module', '-e', contender, directory]
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
    children.push(child)
    const [answer] = await once(child.stdout, 'data')
    return { child, answer: String(answer) }
  }

  const refusalOf = (lock: Promise<DataDirectoryLock>): Promise<unknown> =>
    lock.then(
      () => undefined,
      (error) => error,
    )

  it('makes the directory, for its owner alone', async () => {
    await lockDataDirectory(directory)
    expect((await stat(directory)).mode & 0o777).to.equal(0o700)
  })

  it('is refused while another program has it, with the pid and what to do', async () => {
    const { child, answer } = await contend()
    expect(answer).to.equal('got')
    const refusal = await refusalOf(lockDataDirectory(directory))
    expect(refusal).to.be.instanceOf(DataDirectoryInUse).and.to.include({ pid: child.pid })
    expect(String(refusal)).to.contain(`kill ${child.pid}`).and.to.contain('STREAMSPACE_DATA_DIR')
  })

  it('is refused a second time to the same program', async () => {
    const lock = await lockDataDirectory(directory)
    expect(String(await refusalOf(lockDataDirectory(directory)))).to.contain('by this very process')
    await lock.release()
  })

  it('is free again when it was released, and leaves no file', async () => {
    await (await lockDataDirectory(directory)).release()
    expect(await readdir(directory)).to.deep.equal([])
    await (await lockDataDirectory(directory)).release()
  })

  it('is free again when its owner was killed', async () => {
    const { child } = await contend()
    const exit = once(child, 'exit')
    child.kill('SIGKILL')
    await exit
    const lock = await lockDataDirectory(directory)
    expect(await readdir(directory)).to.have.length(1)
    await lock.release()
  })

  it('is free when its pid belongs to a process that was started at another time', async () => {
    const lock = await lockDataDirectory(directory)
    await lock.release()
    await writeFile(join(directory, `lock.${process.ppid}.1`), '{"since":"2024-01-01T00:00:00Z","held":true}')
    await (await lockDataDirectory(directory)).release()
  })

  it('goes to one of many that ask in the same moment', async () => {
    const answers = await Promise.all([contend(), contend(), contend(), contend(), contend(), contend()])
    expect(answers.filter(({ answer }) => answer === 'got')).to.have.length(1)
    expect(answers.filter(({ answer }) => answer.includes('in use by process'))).to.have.length(5)
  })
})
