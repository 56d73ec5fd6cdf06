// The types of the package's main module. Browsers never load this file.

/**
 * Why something failed. The code is the hub's, or one of the client's own: `network` or
 * `http_STATUS` (no answer of the hub), `replaced`, `token_not_accepted`, and those of a code that the
 * page cannot show: `webcrypto_missing`, `code_not_drawn`. Only the hub sets `retryAfter` (seconds).
 */
export class Problem extends Error {
  constructor(code?: string, status?: number, detail?: string, retryAfter?: number)
  code: string
  status: number
  detail: string
  retryAfter: number | undefined
  /** Reports whether the same request may succeed later. */
  get passing(): boolean
  /** Reports whether the hub gave no answer: the network failed, or a proxy answered instead. */
  get foreign(): boolean
}

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
  /** With number matching: the number that the user must choose on the phone. It may appear only when the user has scanned. */
  matchCode?: string
  /** On a phone: the link that opens the app of this login. It may leave the page; call `keepTicket()` then. */
  launchUrl?: string
  /** What scans the code: `wechat`, `app`, `sandbox`, or a kind that a later hub has. */
  scanWith?: string[]
  /** How the hub shows this site; the widget follows it. */
  branding?: Branding
  /** The hosts from which to load the picture of a verified user: a host, or `*.` and a domain for all hosts below it. */
  pictureHosts?: string[]
  /** The user who scanned. */
  user?: User
  /** Why it was `rejected`: `user`, `wrong_number`, `cancelled_here`. A later hub may give others. */
  reason?: string
  error?: Problem
  /** Seconds until the login retries by itself after an error. */
  retryIn?: number
}

/** The site's look, of the hub's configuration. Colours are `#rrggbb` and can be read on the widget's backgrounds. */
export interface Branding {
  /** Path of a PNG at the hub. */
  logo?: string
  accent?: string
  on_accent?: string
  accent_dark?: string
  on_accent_dark?: string
  /** The theme of the hub's own pages: `light` or `dark`. */
  theme?: string
  /** The site's own texts, by language tag and key. */
  texts?: Record<string, Record<string, string>>
}

/** The user to show. */
export interface User {
  nickname?: string
  /** Load it only if it is verified and from one of `pictureHosts`: the server of any other picture would learn the computer's address. */
  avatar_url?: string
  /** Name and picture come from the provider. Absent: they are what the phone claims. */
  verified?: boolean
}

/** The hub's description of a ticket. */
export interface View {
  ticket?: string
  state: 'pending' | 'scanned' | 'confirmed' | 'consumed' | 'rejected' | 'expired'
  seq: number
  expires_in?: number
  user?: User
  reason?: string
  /** The number to show now, of a client with `number_matching: auto`. */
  match_code?: string
  token?: string
  token_type?: string
  token_expires_in?: number
  /** In place of the token, for a client with `delivery: code`: the site's back end exchanges it. */
  code?: string
  /** Of an authorization request, in place of the token: where the browser goes. */
  redirect_to?: string
  /** In place of `redirect_to`: the form that the browser posts. */
  form_post?: { action: string, fields: Record<string, string> }
}

/** The hub's answer to the creation of a ticket. */
export interface Ticket extends View {
  ticket: string
  secret: string
  qr_url: string
  qr_image: string
  match_code?: string
  /** Of a living code: the key of its frames, how long one lasts, and for how long after that a phone may use it. */
  frame_key?: string
  frame_step?: number
  frame_window?: number
  launch_url?: string
  /** On the hub's own page: the browser shall remember who logs in. */
  remember?: boolean
  scan_with?: string[]
  branding?: Branding
  picture_hosts?: string[]
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
   * Called with the token; with the code, if the client has `delivery: code`. The token is acknowledged when the promise resolves. If it rejects, or
   * resolves to a Response whose `ok` is false, the call is repeated, with backoff, until the token
   * expires. Then the state is `error` with the code `token_not_accepted`; at once if the token is
   * encrypted for another key. The view is the hub's, with the decrypted token and `token_expires_in`.
   */
  onToken?: (token: string, view: View) => unknown
}

/** A login that runs. */
export interface Login {
  /** Whole seconds left. */
  readonly remaining: number
  /** The ticket of the QR code on the page. Its secret must not leave the page. */
  readonly ticket: Ticket | undefined
  /** Gets a new QR code, as the user asked, and cancels the former one. */
  refresh(): void
  /** Cancels the login, for the phone too. `refresh()` starts again. */
  cancel(): void
  /** Cancels a `pending` login, because the page cannot show its code. The state is `error`; `refresh()` starts again. */
  fail(error: Problem): void
  /** Keeps this ticket if the page closes: the user follows a link into an app. */
  keepTicket(): void
  /** Ends the login. No callback is called any more. */
  stop(): void
}

/** Starts a login. Throws a TypeError if `hub` is not a URL. */
export function createLogin(options: Options): Login
