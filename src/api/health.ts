import * as c from '../../domain/codec/codec.ts'

export const healthCodec = c.openObject({ status: c.oneOf(['ok']) })
export const readinessCodec = c.openObject({ status: c.oneOf(['ready']) })
