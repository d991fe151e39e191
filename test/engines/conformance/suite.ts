/** One suite for all platforms: the same guarantees whether a session is a process, a container or a pod. */
import { commands } from './commands.ts'
import { endings } from './endings.ts'
import { fence } from './fence.ts'
import { kills } from './kills.ts'
import { many } from './many.ts'
import type { PlatformUnderTest } from './platform-under-test.ts'

/** Kills and stops are at every step of every change, which takes its time. */
const LONG_MS = 600_000

export const conformance = (platform: PlatformUnderTest): void => {
  describe(`${platform.name}, as a platform`, function () {
    this.timeout(LONG_MS)
    describe('does what it is asked', () => commands(platform))
    describe('does much at once', () => many(platform))
    describe('tells how programs end', () => endings(platform))
    describe('goes on where an agent was killed', () => kills(platform))
    describe('has one agent at a time', () => fence(platform))
  })
}
