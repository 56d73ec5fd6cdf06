// The types of the modules in this folder, for their check. They are not part of the package.

import type { Options, Problem, Ticket, View } from './types.js'

export type { Options, Problem, Snapshot, State, Ticket, View } from './types.js'

/** What tests replace. */
export interface TestOptions {
  fetch?: typeof globalThis.fetch
  WebSocket?: typeof globalThis.WebSocket
  clock?: Clock
  /** Returns a number from 0 up to 1. */
  random?: () => number
  /** The storage in which the session records that sockets are blocked. May throw. */
  storage?: () => Pick<Storage, 'getItem' | 'setItem'>
  /** WebCrypto; undefined if the browser has none. */
  subtle?: SubtleCrypto
  /** Returns the key of the next ticket. */
  createKey?: CreateKey
  win?: EventSourceLike
  doc?: EventSourceLike & { hidden: boolean }
}

interface EventSourceLike {
  location?: any
  createElement?: any
  body?: any
  addEventListener(type: string, run: (event: any) => void, options: { signal: AbortSignal }): void
}

export interface Clock {
  /** Milliseconds of a clock that is never set back. */
  now(): number
  /** Milliseconds of the wall clock; `Date.now` by default. */
  wall?(): number
  setTimeout(run: () => void, ms?: number): any
  clearTimeout(id: any): void
}

type Filled = 'hub' | 'renewals' | 'onState' | 'fetch' | 'WebSocket' | 'clock' | 'random' | 'storage' | 'createKey'
type AllOptions = Options & TestOptions

/** Options with the defaults filled in. */
export type Env = AllOptions & Required<Pick<AllOptions, Filled>>

/** One attempt of one transport. */
export interface Transport {
  close(): void
}

export interface Socket extends Transport {
  /** Sends an acknowledgement. Reports whether it was sent. */
  ack(seq: number): boolean
}

/** A transport reports views (null: nothing changed), and why it ended. Never after `close()`. */
export interface TransportEvents<View, Reason> {
  view(view: View): void
  end(reason: Reason): void
}

export type OpenSocket = (env: Env, ticket: Ticket, on: TransportEvents<View, number>) => Socket
export type OpenPoll = (env: Env, ticket: Ticket, on: TransportEvents<View | null, Problem>, wait: number) => Transport

/** The events of a connection. */
export interface ConnectionEvents {
  view(view: View): void
  live(live: boolean): void
  /** The ticket no longer exists at the hub, or has expired. */
  gone(): void
  /** Another attempt would fail too. */
  fail(problem: Problem): void
}

interface RequestOptions {
  secret?: string
  body?: object
  /** Milliseconds, 5,000 by default. */
  timeout?: number
  signal?: AbortSignal
  /** The browser sends the request even if the page closes. */
  keepalive?: boolean
}

export type Request = (env: Env, path: string, options: RequestOptions) => Promise<any>
export type CreateTicket = (env: Env, signal: AbortSignal, jwk?: JsonWebKey) => Promise<Ticket>
export type CreateKey = (subtle: any) => Promise<{ jwk: JsonWebKey, privateKey: CryptoKey } | undefined>
/** Throws a Problem. */
export type DecryptToken = (subtle: any, key: CryptoKey | undefined, view: any) => Promise<View>
export type CancelTicket = (env: Env, ticket: Ticket, keepalive?: boolean) => Promise<void>
export type Post = (env: Env, ticket: Ticket, action: string, options: RequestOptions) => Promise<void>
export type AckTicket = (env: Env, ticket: Ticket, seq: number) => Promise<void>
export type IsView = (value: any, ticket: Pick<Ticket, 'ticket'>) => boolean
export type HubURL = (env: Env, path: string) => URL
/** Milliseconds by the monotonic clock and by the wall clock. */
export type ClockReading = [number, number]
export type ReadClocks = (env: Env) => ClockReading
export type Elapsed = (env: Env, start: ClockReading) => number
export type TicketPath = (ticket: Ticket, resource: string) => string
export type Backoff = (env: Env, failures: number) => number
export type WithStorage = (env: Env, use: (storage: Pick<Storage, 'getItem' | 'setItem'>) => unknown) => unknown
