/**
 * Homes of a test cluster are folders that its host-path provisioner makes for root alone. What `fsGroup` has a real cluster's
 * volume driver do is done here: the session's user may write them. A process of its own, as a test that is busy
 * would come too late.
 */
import { chmodSync, mkdirSync, readdirSync, watch } from 'node:fs'
import { join } from 'node:path'

/** Where the provisioner makes them. */
const HOMES = '/tmp/hostpath_pv'

const opened = new Set<string>()

// Once each: opening one is a change that is told of again.
const open = (name: string): void => {
  if (opened.has(name)) return
  try {
    chmodSync(join(HOMES, name), 0o777)
    opened.add(name)
  } catch {
    // It has gone.
  }
}

mkdirSync(HOMES, { recursive: true })
watch(HOMES, (_, name) => {
  if (name !== null) open(name)
})
const look = (): void => {
  for (const name of readdirSync(HOMES)) open(name)
}
look()
// A change may go untold: a home was once not opened for a minute.
setInterval(look, 1_000)
process.send?.('watching')
// With whoever started it.
process.on('disconnect', () => process.exit())
