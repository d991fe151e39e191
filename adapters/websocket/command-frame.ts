import { encodeFrame } from '../../agents/protocol.ts'
import type { DueCommand } from '../../domain/ports/delivery.ts'

/** A command as it goes over the wire. `attempt` counts from 1. */
export const commandFrame = (command: DueCommand, attempt: number): Buffer =>
  Buffer.from(
    encodeFrame({
      type: 'command',
      commandId: command.commandId,
      command: command.type,
      sessionId: command.sessionId,
      generation: command.generation,
      attempt,
      expiresAt: command.expiresAt?.toISOString() ?? null,
      desired: command.desired,
    }),
  )
