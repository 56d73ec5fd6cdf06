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
 * from there only `refresh()` goes on. Every other state has a line to the hub, or is getting one.
 */
export type State = 'making' | 'pending' | 'scanned' | 'confirmed' | 'consumed' | 'rejected' | 'expired' | 'error'

/** What to show. */
export interface Snapshot {
  state: State
  /** Whether the hub is being heard; false: the line is being mended. */
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
  /** The hub's origin; the page's own by default. */
  hub?: string
  /** May be left out where the hub has one client. */
  clientId?: string
  /** From the site's back end, kept in this browser's session; comes back in the token. */
  nonce?: string
  /** How many expired tickets are replaced before the user must ask for a new one; 5. */
  renewals?: number
  onState?: (snapshot: Snapshot) => void
  /**
   * The token is acknowledged once the promise resolves, and handed over again if it rejects. The
   * view is the hub's, with `token_expires_in`.
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
  setTimeout(run: () => void, ms?: number): any
  clearTimeout(id: any): void
}

type Needed = 'hub' | 'renewals' | 'onState' | 'fetch' | 'WebSocket' | 'clock' | 'random' | 'storage'

/** Options with the defaults filled in. */
export type Env = Options & Required<Pick<Options, Needed>>

/** One try of one transport. */
export interface Transport {
  close(): void
  ack(seq: number): Promise<unknown>
}

/** What a transport tells: a view (null: nothing new), and why it ended, never after `close()`. */
export interface Hears<Reason> {
  view(view: View | null): void
  down(reason: Reason): void
}

/** Opens a transport. */
export type Open<Reason> = (env: Env, ticket: Ticket, on: Hears<Reason>) => Transport

/** What a line tells. */
export interface LineEvents {
  view(view: View): void
  live(live: boolean): void
  /** There is no such ticket any more. */
  gone(): void
  /** There is no use in trying on. */
  fail(problem: Problem): void
}

interface Call {
  secret?: string
  body?: object
  /** Milliseconds, 10,000 by default. */
  timeout?: number
  signal?: AbortSignal
}

export type Request = (env: Env, path: string, call: Call) => Promise<any>
export type Make = (env: Env, signal: AbortSignal) => Promise<Ticket>
export type Ack = (env: Env, ticket: Ticket, seq: number) => Promise<unknown>
export type Path = (ticket: Ticket, what: string) => string
export type Backoff = (env: Env, fails: number) => number
export type Memory = (env: Env, use: (storage: Pick<Storage, 'getItem' | 'setItem'>) => unknown) => unknown
