/** What a value of the core looks like once it has been JSON: types only, nothing happens at run time. */
import type { AnyCodec, TypeOf } from '../../domain/codec/codec.ts'
import type {
  AgentId,
  ApiKeyId,
  CommandId,
  OrgId,
  ReplicaId,
  SessionId,
  TemplateId,
  UserId,
  WebhookDeliveryId,
  WebhookId,
} from '../../domain/ids.ts'

type Id =
  | AgentId
  | ApiKeyId
  | CommandId
  | OrgId
  | ReplicaId
  | SessionId
  | TemplateId
  | UserId
  | WebhookDeliveryId
  | WebhookId

/** Dates are RFC 3339 text on the wire (`Date.toJSON`), branded ids plain text. */
export type Json<T> = T extends Date | Id
  ? string
  : T extends string | number | boolean | null | undefined
    ? T
    : T extends readonly (infer Item)[]
      ? readonly Json<Item>[]
      : T extends object
        ? { readonly [K in keyof T]: Json<T[K]> }
        : unknown

type SameKeys<A, B> = [keyof A] extends [keyof B] ? ([keyof B] extends [keyof A] ? true : false) : false

type Mirror<View, C> = SameKeys<View, TypeOf<C>> extends true ? (Json<View> extends TypeOf<C> ? unknown : never) : never

/**
 * Marks a codec as the representation of `View`. Does not compile when either has a field that the other has
 * not, or when a field of `View` would not decode: the codec and what the server really sends cannot drift.
 */
export const represents =
  <View>() =>
  <C extends AnyCodec>(codec: C & Mirror<View, C>): C =>
    codec
