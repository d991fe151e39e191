/** One suite for all platforms: the same guarantees whether a session is a process or a container. */
import { commands } from './commands.ts'
import { dockerUnderTest } from './docker.ts'
import { endings } from './endings.ts'
import { fence } from './fence.ts'
import { kills } from './kills.ts'
import { processUnderTest } from './process.ts'

for (const platform of [processUnderTest, dockerUnderTest])
  describe(`${platform.name}, as a platform`, function () {
    this.timeout(60_000)
    describe('does what it is asked', () => commands(platform))
    describe('tells how programs end', () => endings(platform))
    describe('goes on where an agent was killed', () => kills(platform))
    describe('has one agent at a time', () => fence(platform))
  })
