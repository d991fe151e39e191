/** One suite for all platforms: the same guarantees whether a session is a process, a container or a pod. */
import { commands } from './commands.ts'
import { endings } from './endings.ts'
import { fence } from './fence.ts'
import { kills } from './kills.ts'
import { many } from './many.ts'
import type { PlatformUnderTest } from './platform-under-test.ts'
import { subject } from './subject.ts'

/** Kills and stops are at every step of every change, which takes its time. */
const LONG_MS = 1_200_000

export const conformance = (platform: PlatformUnderTest): void => {
  describe(`${platform.name}, as a platform`, function () {
    this.timeout(LONG_MS)
    const here = subject(platform)
    describe('does what it is asked', () => commands(here))
    describe('tells how programs end', () => endings(here))
    describe('goes on where an agent was killed', () => kills(here))
    describe('has one agent at a time', () => fence(here))
    // Last: the others have what they have to see in two seconds behind them.
    describe('does much at once', () => many(here))
  })
}
