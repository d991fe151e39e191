import { expect } from 'chai'
import { type Listener, listenersOfLsof, reachedBy, socketOf } from '../../../agents/process/listeners.ts'
import { membersBySession } from '../../../agents/process/membership.ts'
import {
  type ProcessRow,
  readProcess,
  readProcessTable,
  rowOfPs,
  rowOfStat,
} from '../../../agents/process/process-table.ts'
import type { SessionId } from '../../../domain/ids.ts'

describe('the host as the process platform sees it', () => {
  describe('the process table', () => {
    it('reads what Linux says, whatever a program calls itself', () => {
      const stat = `42 (evil) S 1 (x) R 7 40 41 0 -1 4194560 100 0 0 0 1 2 0 0 20 0 1 0 98765 1000000 250 ${'0 '.repeat(28)}`
      expect(rowOfStat(stat)).to.deep.include({ pid: 42, parent: 7, group: 40, session: 41, start: '98765' })
      expect(rowOfStat(stat.replace(') R 7', ') Z 7'))).to.equal(null)
      expect(rowOfStat('')).to.equal(null)
    })
    it('reads what ps says', () => {
      expect(rowOfPs('  501     1   501   502  2048 Ss   Mon Jan  6 10:00:00 2025 ')).to.deep.equal({
        pid: 501,
        parent: 1,
        group: 501,
        session: 0,
        uid: 502,
        rssBytes: 2048 * 1024,
        start: 'Mon Jan 6 10:00:00 2025',
      })
      expect(rowOfPs('501 1 501 502 0 Z+ Mon Jan  6 10:00:00 2025')).to.equal(null)
    })
    it('has this very process in it', async () => {
      const own = await readProcess(process.pid)
      expect(own).to.include({ pid: process.pid, parent: process.ppid })
      expect(own!.rssBytes).to.be.within(process.memoryUsage.rss() / 3, process.memoryUsage.rss() * 3)
      expect((await readProcessTable()).find(({ pid }) => pid === process.pid)?.start).to.equal(own!.start)
    })
  })

  describe('membership', () => {
    const a = 'session-a' as SessionId
    const row = (pid: number, parent: number, group: number, start = '1'): ProcessRow => ({
      pid,
      parent,
      group,
      session: group,
      start,
      rssBytes: 0,
      uid: null,
    })
    const pids = (
      rows: readonly ProcessRow[],
      command = { pid: 10, start: '1' },
      marks: readonly number[] = [],
      seen: string[] = [],
    ) =>
      (
        membersBySession(
          rows,
          [{ sessionId: a, command, uid: null, seen: new Set(seen) }],
          (one) => (marks.includes(one.pid) ? a : null),
          ({ pid }) => pid === 1,
        ).get(a) ?? []
      )
        .map(({ pid }) => pid)
        .sort((x, y) => x - y)

    it('is the group, what descends from it, what was seen, what bears the mark, and their descendants', () => {
      const rows = [
        row(1, 0, 1),
        row(10, 9, 10),
        row(11, 1, 10),
        row(12, 10, 12),
        row(13, 12, 13),
        row(20, 1, 20),
        row(21, 20, 21),
        row(30, 1, 30),
        row(40, 1, 40),
      ]
      expect(pids(rows, undefined, [20], ['30:1'])).to.deep.equal([10, 11, 12, 13, 20, 21, 30])
    })
    it('outlives the first process of the group, unless somebody else has its pid now', () => {
      expect(pids([row(11, 1, 10)])).to.deep.equal([11])
      expect(pids([row(10, 1, 10, '2'), row(11, 1, 10)])).to.deep.equal([])
    })
    it('is never the agent', () => {
      expect(pids([row(1, 0, 1), row(10, 1, 10)], undefined, [1])).to.deep.equal([10])
    })
  })

  describe('listeners', () => {
    it('reads what Linux says, in both address families', () => {
      const line = (address: string) =>
        `   0: ${address}:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4242 1 0 100 0 0 10 0`
      expect(socketOf(line('0100007F'))).to.deep.equal({
        address: '127.0.0.1',
        port: 8080,
        state: '0A',
        uid: 1000,
        inode: '4242',
      })
      expect(socketOf(line('00000000000000000000000000000000'))?.address).to.equal('::')
      expect(socketOf(line('00000000000000000000000001000000'))?.address).to.equal('::1')
      expect(socketOf(line('0000000000000000FFFF00000100007F'))?.address).to.equal('127.0.0.1')
      expect(socketOf('')).to.equal(null)
    })
    it('reads what lsof says', () => {
      expect(listenersOfLsof('p10\nf3\nn127.0.0.1:80\nf4\nn[::1]:81\np11\nf3\nn*:82\n', [10])).to.deep.equal([
        { address: '127.0.0.1', port: 80, owner: 'session' },
        { address: '::1', port: 81, owner: 'session' },
        { address: '*', port: 82, owner: 'other' },
      ])
    })
    it('knows whom a connection reaches: an exact address comes before a wildcard', () => {
      const at = (address: string, owner: Listener['owner'], port = 80): Listener => ({ address, port, owner })
      expect(
        reachedBy([at('0.0.0.0', 'session'), at('127.0.0.1', 'other'), at('127.0.0.1', 'other', 81)], '127.0.0.1', 80),
      ).to.deep.equal([at('127.0.0.1', 'other')])
      expect(reachedBy([at('::', 'session'), at('10.0.0.1', 'other')], '127.0.0.1', 80)).to.deep.equal([
        at('::', 'session'),
      ])
    })
  })
})
