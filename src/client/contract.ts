/** The types of every call, derived from the route table: nothing of the contract is written a second time. */
import type * as c from '../../domain/codec/codec.ts'
import type { Json } from '../api/json.ts'
import type { PageOf } from '../api/page.ts'
import type { OperationId, Routes } from '../api/routes.ts'

export type ParamsOf<K extends OperationId> = { readonly [P in keyof Routes[K]['params']]: string }

/** Filters as the server decodes them, with times as text. */
export type QueryOf<K extends OperationId> = Json<c.TypeOf<Routes[K]['query']>>

/**
 * A template is sent as it is, not as what its codec makes of it: the server says what is wrong with it. So
 * it is any object here (`PutTemplateRequest` is what will be taken).
 */
export type BodyOf<K extends OperationId> = K extends 'putTemplate'
  ? { readonly [field: string]: unknown }
  : Routes[K]['body'] extends c.AnyCodec
    ? Json<c.TypeOf<Routes[K]['body']>>
    : undefined

type Decoded<A> = A extends { readonly codec: infer C } ? (C extends c.AnyCodec ? c.TypeOf<C> : undefined) : never

export type AnswerOf<K extends OperationId> = Decoded<Routes[K]['answers'][keyof Routes[K]['answers']]>

export type ItemOf<K extends OperationId> = AnswerOf<K> extends PageOf<infer Item> ? Item : never

/** Operations that answer with pages. */
export type ListOperation = {
  [K in OperationId]: AnswerOf<K> extends PageOf<unknown> ? K : never
}[OperationId]
