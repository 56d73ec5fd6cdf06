// The types of the modules in this folder. Browsers never load this file.

import type { Problem } from './ticket.js'

export type { Problem }

/**
 * The state of a login.
 *
 *     making → pending → scanned → confirmed → consumed
 *     pending, scanned → rejected
 *     any → expired (→ making, while `renewals` last and the page is visible)
 *     any → error (→ making after `retryIn` seconds, if set)
 *
 * `consumed` and `rejected` are final. So are `expired` and `error` if they do not lead to `making`:
 * only `refresh()` leaves them. In every other state the login is connected to the hub, or connects.
 */
export type State = 'making' | 'pending' | 'scanned' | 'confirmed' | 'consumed' | 'rejected' | 'expired' | 'error'

/** What to show. */
export interface Snapshot {
  state: State
  /** Whether the hub answers. False: the login is reconnecting. */
  live?: boolean
  /** The text in the QR code. */
  qrUrl?: string
  /** The image of the QR code, an absolute URL at the hub. */
  qrImage?: string
  /** With number matching: the number that the user must choose on the phone. */
  matchCode?: string
  /** On a phone: the link that opens the app of this login. It may leave the page; call `keepTicket()` then. */
  launchUrl?: string
  /** What scans the code: `wechat`, `app`, `sandbox`, or a kind that a later hub has. */
  scanWith?: string[]
  /** The user who scanned, as the phone claims. */
  user?: User
  /** Why it was `rejected`: `user`, `wrong_number`, `cancelled_here`. A later hub may give others. */
  reason?: string
  error?: Problem
  /** Seconds until the login retries by itself after an error. */
  retryIn?: number
}

/** What the phone claims about its user. Not verified. */
export interface User {
  nickname?: string
  avatar_url?: string
}

/** The hub's description of a ticket. */
export interface View {
  ticket?: string
  state: 'pending' | 'scanned' | 'confirmed' | 'consumed' | 'rejected' | 'expired'
  seq: number
  expires_in?: number
  user?: User
  reason?: string
  token?: string
  token_type?: string
  token_expires_in?: number
  /** Of an authorization request, in place of the token: where the browser goes. */
  redirect_to?: string
  /** In place of `redirect_to`: the form that the browser posts. */
  form_post?: { action: string, fields: Record<string, string> }
}

export interface Ticket extends View {
  ticket: string
  secret: string
  qr_url: string
  qr_image: string
  match_code?: string
  launch_url?: string
  scan_with?: string[]
}

export interface Options {
  /** The hub's URL, with the path if it is below one; the page's own origin by default. */
  hub?: string
  /** Optional if the hub has one client. */
  clientId?: string
  /** A random value that the site's back end keeps in this browser's session. The token contains it. */
  nonce?: string
  /**
   * In place of both, on the hub's own page of an authorization request (OpenID Connect): the content
   * of its `loginhub-request`. The browser goes to the site by itself, and `onToken` is not called.
   */
  request?: string
  /** How many expired tickets are replaced before the user must ask for a new one. Default 5. */
  renewals?: number
  onState?: (snapshot: Snapshot) => void
  /**
   * Called with the token. The token is acknowledged when the promise resolves. If it rejects, or
   * resolves to a Response whose `ok` is false, the call is repeated, with backoff, until the token
   * expires. Then the state is `error` with the code `token_not_accepted`. The view is the hub's,
   * with `token_expires_in`.
   */
  onToken?: (token: string, view: View) => unknown
  // For tests only:
  fetch?: typeof globalThis.fetch
  WebSocket?: typeof globalThis.WebSocket
  clock?: Clock
  /** Returns a number from 0 up to 1. */
  random?: () => number
  /** The storage in which the session records that sockets are blocked. May throw. */
  storage?: () => Pick<Storage, 'getItem' | 'setItem'>
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

type RequiredOption = 'hub' | 'renewals' | 'onState' | 'fetch' | 'WebSocket' | 'clock' | 'random' | 'storage'

/** Options with the defaults filled in. */
export type Env = Options & Required<Pick<Options, RequiredOption>>

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
export type CreateTicket = (env: Env, signal: AbortSignal) => Promise<Ticket>
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
