// What the modules of this folder take and give. Not code: browsers never load it.

import type { Problem } from './ticket.js'

export type { Problem }

/**
 * Where a login stands.
 *
 *     making → pending → scanned → confirmed → consumed
 *     pending, scanned → rejected
 *     any → expired (→ making, while `renewals` last and the page is visible)
 *     any → error (→ making after `retryIn` seconds, where there is one)
 *
 * `consumed` and `rejected` are final, as are `expired` and `error` where no arrow leaves them:
 * from there only `refresh()` goes on. Every other state is connected to the hub, or is connecting.
 */
export type State = 'making' | 'pending' | 'scanned' | 'confirmed' | 'consumed' | 'rejected' | 'expired' | 'error'

/** What to show. */
export interface Snapshot {
  state: State
  /** Whether the hub answers; false: reconnecting. */
  live?: boolean
  /** What the code holds. */
  qrUrl?: string
  /** The picture of the code, an absolute address at the hub. */
  qrImage?: string
  /** With number matching: what the user must pick on the phone. */
  matchCode?: string
  /** Who has scanned, as the phone claims. */
  user?: User
  error?: Problem
  /** Seconds after which an error is tried again by itself. */
  retryIn?: number
}

/** What a phone says of itself: not verified. */
export interface User {
  nickname?: string
  avatar_url?: string
}

/** The hub's own word on a ticket. */
export interface View {
  ticket?: string
  state: 'pending' | 'scanned' | 'confirmed' | 'consumed' | 'rejected' | 'expired'
  seq: number
  expires_in?: number
  user?: User
  token?: string
  token_type?: string
  token_expires_in?: number
}

export interface Ticket extends View {
  ticket: string
  secret: string
  qr_url: string
  qr_image: string
  match_code?: string
}

export interface Options {
  /** The hub's URL, with the path if it is below one; the page's own origin by default. */
  hub?: string
  /** May be left out where the hub has one client. */
  clientId?: string
  /** From the site's back end, kept in this browser's session; comes back in the token. */
  nonce?: string
  /** How many expired tickets are replaced before the user must ask for a new one; 5. */
  renewals?: number
  onState?: (snapshot: Snapshot) => void
  /**
   * The token is acknowledged once the promise resolves. If it rejects, or resolves to a Response
   * whose `ok` is false, the token is given again, with backoff, until it expires: then the state
   * is `error` with the code `token_not_accepted`. The view is the hub's, with `token_expires_in`.
   */
  onToken?: (token: string, view: View) => unknown
  // The rest is for tests.
  fetch?: typeof globalThis.fetch
  WebSocket?: typeof globalThis.WebSocket
  clock?: Clock
  /** From 0 up to 1. */
  random?: () => number
  /** Where the session remembers that sockets are blocked; may throw. */
  storage?: () => Pick<Storage, 'getItem' | 'setItem'>
  win?: Listens
  doc?: Listens & { hidden: boolean }
}

interface Listens {
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

type Needed = 'hub' | 'renewals' | 'onState' | 'fetch' | 'WebSocket' | 'clock' | 'random' | 'storage'

/** Options with the defaults filled in. */
export type Env = Options & Required<Pick<Options, Needed>>

/** One try of one transport. */
export interface Transport {
  close(): void
}

export interface Socket extends Transport {
  /** Whether the acknowledgement was sent. */
  ack(seq: number): boolean
}

/** What a transport reports: a view (null: no news), and why it ended, never after `close()`. */
export interface TransportEvents<View, Reason> {
  view(view: View): void
  down(reason: Reason): void
}

export type OpenSocket = (env: Env, ticket: Ticket, on: TransportEvents<View, number>) => Socket
export type OpenPoll = (env: Env, ticket: Ticket, on: TransportEvents<View | null, Problem>, wait: number) => Transport

/** What a connection reports. */
export interface ConnectionEvents {
  view(view: View): void
  live(live: boolean): void
  /** The hub has no such ticket any more. */
  gone(): void
  /** Another try would fail too. */
  fail(problem: Problem): void
}

interface Call {
  secret?: string
  body?: object
  /** Milliseconds, 5,000 by default. */
  timeout?: number
  signal?: AbortSignal
}

export type Request = (env: Env, path: string, call: Call) => Promise<any>
export type Make = (env: Env, signal: AbortSignal) => Promise<Ticket>
export type Ack = (env: Env, ticket: Ticket, seq: number) => Promise<void>
export type IsView = (said: any, ticket: Pick<Ticket, 'ticket'>) => boolean
export type HubURL = (env: Env, path: string) => URL
/** By the monotonic clock and by the wall clock. */
export type Moment = [number, number]
export type Now = (env: Env) => Moment
export type Since = (env: Env, then: Moment) => number
export type Path = (ticket: Ticket, what: string) => string
export type Backoff = (env: Env, fails: number) => number
export type Stored = (env: Env, use: (storage: Pick<Storage, 'getItem' | 'setItem'>) => unknown) => unknown
