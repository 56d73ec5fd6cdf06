import { Connection } from './connection.js'
import { backoff, elapsed, readClocks } from './elapsed.js'
import { cancelTicket, createTicket, Problem } from './ticket.js'
import { createKey, decryptToken } from './tokenkey.js'

export { Problem } from './ticket.js'

/** @import * as T from './internal.js' */

const LIFECYCLE = ['visibilitychange', 'pagehide', 'pageshow', 'freeze', 'resume', 'online']
const MAX_RETRY_AFTER = 60 // seconds
const ACK_TIMEOUT = 3000 // ms

/**
 * Starts a login. Throws a TypeError if `hub` is not a URL.
 *
 * @param {T.Options & T.TestOptions} options
 */
export function createLogin(options) {
  return new Login({
    renewals: 5,
    onState() {},
    fetch: (...args) => fetch(...args),
    WebSocket: globalThis.WebSocket,
    clock: {
      now: () => performance.now(),
      setTimeout: (...args) => setTimeout(...args),
      clearTimeout: (id) => clearTimeout(id),
    },
    random: Math.random,
    storage: () => sessionStorage,
    createKey,
    subtle: options.request ? undefined : globalThis.crypto?.subtle,
    win: globalThis.window,
    doc: globalThis.document,
    ...options,
    hub: baseURL(options.hub ?? globalThis.location?.origin),
  })
}

/**
 * The hub's base URL, with a slash at the end.
 *
 * @param {string} hub
 */
function baseURL(hub) {
  const url = new URL(hub, globalThis.location?.href)
  url.search = url.hash = ''
  url.pathname = url.pathname.replace(/\/*$/, '/')
  return url.href
}

/** One login. `State` lists its states. */
class Login {
  #env
  /** @type {T.Snapshot} */
  #snapshot = { state: 'making' }
  /** @type {T.Ticket=} */
  #ticket
  /** @type {Connection=} */
  #connection
  /** @type {CryptoKey=} */
  #key
  /** @type {T.View=} */
  #confirmed
  #confirmedAt
  #attempt = new AbortController()
  #seq = 0; #deadline = 0; #renewals = 0; #failures = 0; #retryTimer = 0
  #creating = false; #delivering = false; #accepted = false; #renewalPending = false; #kept = false
  #stale = false // the page was hidden since the last wake, so requests sent before may be lost
  #stopped = new AbortController()

  /** @param {T.Env} env */
  constructor(env) {
    this.#env = env
    this.#confirmedAt = readClocks(env)
    const { signal } = this.#stopped
    for (const target of [env.win, env.doc]) {
      for (const type of LIFECYCLE) target?.addEventListener(type, (event) => this.#lifecycle(type, event?.persisted), { signal })
    }
    queueMicrotask(() => signal.aborted || this.refresh())
  }

  /** Whole seconds left, from the hub's last view and the monotonic clock. */
  get remaining() {
    return Math.max(0, Math.ceil((this.#deadline - this.#env.clock.now()) / 1000)) || 0
  }

  /** The ticket of the QR code on the page. */
  get ticket() {
    return this.#ticket
  }

  /** Gets a new QR code, as the user asked, and cancels the former one. */
  refresh() {
    this.#cancelTicket()
    this.#renewals = this.#failures = 0
    this.#createTicket('making')
  }

  /** Cancels the login, for the phone too. */
  cancel() {
    this.#cancelTicket()
    this.#end({ ...this.#snapshot, state: 'rejected', reason: 'cancelled_here' })
  }

  /**
   * Cancels the login, because the page cannot show its code.
   *
   * @param {T.Problem} error
   */
  fail(error) {
    if (this.#snapshot.state !== 'pending') return
    this.#cancelTicket()
    this.#end({ state: 'error', error })
  }

  /** Keeps this ticket if the page closes: the user follows a link into an app. */
  keepTicket() {
    this.#kept = true
  }

  /** Ends the login. No callback is called any more. */
  stop() {
    if (!this.#kept) this.#cancelTicket()
    this.#stopped.abort()
    this.#reset()
  }

  /**
   * @param {string} type
   * @param {boolean=} persisted
   */
  #lifecycle(type, persisted) {
    const hidden = type === 'visibilitychange' && this.#env.doc?.hidden
    if (type === 'pagehide') {
      this.#connection?.close() // otherwise the browser does not cache the page
      if (persisted === false && !this.#kept) this.#cancelTicket(true)
    }
    if (hidden || type === 'pagehide' || type === 'freeze') this.#stale = true
    else this.#wake(type === 'online' || persisted)
  }

  /** @param {boolean=} keepalive */
  #cancelTicket(keepalive) {
    if (this.#ticket && ['pending', 'scanned'].includes(this.#snapshot.state)) cancelTicket(this.#env, this.#ticket, keepalive).catch(() => {})
  }

  /** @param {boolean=} reconnect */
  #wake(reconnect) {
    const stale = this.#stale
    this.#stale = false
    if (this.#renewalPending) return this.#renew()
    this.#connection?.wake({ reconnect, stale })
    if (this.#confirmed && !this.#accepted) this.#deliver()
    const { error } = this.#snapshot
    if (this.#creating ? stale : this.#retryTimer && error && !error.retryAfter) this.#createTicket()
  }

  #reset() {
    this.#attempt.abort()
    this.#env.clock.clearTimeout(this.#retryTimer)
    this.#connection?.close()
    this.#connection = this.#confirmed = undefined
    this.#retryTimer = 0
    this.#creating = this.#delivering = this.#accepted = this.#renewalPending = false
  }

  /** @param {'making'=} state */
  async #createTicket(state) {
    this.#reset()
    const { signal } = this.#attempt = new AbortController()
    this.#creating = true
    if (state) this.#report({ state })
    try {
      const key = await this.#env.createKey(this.#env.subtle)
      if (signal.aborted) return
      const ticket = await createTicket(this.#env, signal, key?.jwk)
      if (signal.aborted) return
      this.#key = key?.privateKey
      this.#connect(ticket, signal)
    } catch (problem) {
      if (!signal.aborted) this.#creationFailed(/** @type {T.Problem} */ (problem))
    }
  }

  /**
   * @param {T.Ticket} ticket
   * @param {AbortSignal} signal
   */
  #connect(ticket, signal) {
    this.#creating = this.#kept = false
    this.#ticket = ticket
    this.#seq = this.#failures = 0
    this.#view(ticket)
    if (signal.aborted) return
    this.#connection = new Connection(this.#env, ticket, {
      view: (view) => signal.aborted || this.#view(view),
      live: (live) => signal.aborted || live === this.#snapshot.live || this.#report({ ...this.#snapshot, live }),
      gone: () => this.#expired(),
      fail: (error) => this.#ticketEnded() || this.#end({ state: 'error', error }),
    })
  }

  /** @param {T.Problem} error */
  #creationFailed(error) {
    if (!error.passing) return this.#end({ state: 'error', error })
    this.#creating = false
    const { retryAfter } = error
    const pause = backoff(this.#env, this.#failures++)
    const delay = 1000 * Math.min(retryAfter ?? 1, MAX_RETRY_AFTER) + pause
    this.#retryTimer = this.#env.clock.setTimeout(() => this.#createTicket(), delay)
    this.#report({ state: 'error', live: false, error, retryIn: Math.ceil(delay / 1000) })
  }

  /** @param {T.View} view */
  #view(view) {
    if (view.seq < this.#seq) return // the other transport brought a newer view
    this.#seq = view.seq
    const { state, user, reason, expires_in: left } = view
    if (left !== undefined) this.#deadline = this.#env.clock.now() + left * 1000
    if (state === 'expired') return this.#expired()
    const { qr_url: qrUrl, qr_image: qrImage, match_code: matchCode = view.match_code, launch_url: launchUrl, scan_with: scanWith, branding, picture_hosts: pictureHosts } = /** @type {T.Ticket} */ (this.#ticket)
    const snapshot = { state, live: true, qrUrl, qrImage, matchCode, launchUrl, scanWith, branding, pictureHosts, user, reason }
    if (state === 'rejected') follow(this.#env, view)
    if (state === 'consumed' || state === 'rejected') return this.#end(snapshot)
    const { signal } = this.#attempt
    this.#report(snapshot)
    if (state !== 'confirmed' || signal.aborted) return
    if (this.#confirmed?.seq !== view.seq) {
      this.#confirmed = view
      this.#confirmedAt = readClocks(this.#env)
    }
    if (this.#accepted || !this.#retryTimer) this.#deliver()
  }

  /** Passes the token to the site until the site accepts it, then acknowledges it to the hub. */
  async #deliver() {
    if (this.#delivering || !this.#confirmed) return
    const { signal } = this.#attempt
    const { seq } = this.#confirmed
    this.#delivering = true
    this.#env.clock.clearTimeout(this.#retryTimer)
    this.#retryTimer = 0
    try {
      if (!this.#accepted) follow(this.#env, this.#confirmed) || await passToken(this.#env, this.#confirmed, this.#key, signal)
      if (signal.aborted) return
      this.#accepted = true
      if (!this.#connection) return this.#ticketEnded()
      await this.#connection.ack(seq)
      this.#retryDelivery(ACK_TIMEOUT) // on a dead socket it is lost without a sign
    } catch (error) {
      if (!signal.aborted) this.#deliveryFailed(/** @type {Error} */ (error))
    } finally {
      if (!signal.aborted) this.#delivering = false
    }
  }

  /** @param {Error | T.Problem} error */
  #deliveryFailed(error) {
    const env = this.#env
    if (this.#accepted) {
      const final = error instanceof Problem && !error.passing
      if ((final && [404, 410].includes(error.status)) || !this.remaining) return this.#ticketEnded()
      if (final) return // the next view has another seq
    } else {
      const { token_expires_in: left = 60 } = /** @type {T.View} */ (this.#confirmed)
      if (/** @type {any} */ (error)?.code === 'token_not_accepted' || elapsed(env, this.#confirmedAt) >= left * 1000) {
        return this.#end({ state: 'error', error: new Problem('token_not_accepted', 0, String(error?.message ?? error)) })
      }
    }
    this.#retryDelivery(0)
  }

  /** @param {number} pause */
  #retryDelivery(pause) {
    this.#retryTimer = this.#env.clock.setTimeout(() => {
      this.#connection?.wake()
      this.#deliver()
    }, pause + backoff(this.#env, ++this.#failures))
  }

  /** The hub's ticket has ended. Reports whether the login continues with the token. */
  #ticketEnded() {
    if (!this.#confirmed) return false
    this.#connection?.close()
    this.#connection = undefined
    if (this.#accepted) this.#end({ ...this.#snapshot, state: 'consumed' })
    return true
  }

  #expired() {
    if (this.#ticketEnded()) return
    this.#reset()
    this.#renewalPending = this.#renewals < this.#env.renewals
    this.#report({ ...this.#snapshot, state: 'expired' })
    this.#renew()
  }

  /** Renews an expired ticket, never in a hidden tab. */
  #renew() {
    if (!this.#renewalPending || this.#env.doc?.hidden) return
    this.#renewals++
    this.#createTicket('making')
  }

  /** @param {T.Snapshot} snapshot */
  #end(snapshot) {
    this.#reset()
    this.#report(snapshot)
  }

  /** @param {T.Snapshot} snapshot */
  #report(snapshot) {
    this.#snapshot = snapshot
    try {
      this.#env.onState(snapshot)
    } catch (err) {
      this.#env.clock.setTimeout(() => { throw err }) // an error of the site does not stop the login
    }
  }
}

/**
 * Sends the browser to the site with the answer of an authorization request, if the view has one.
 *
 * @param {any} env
 * @param {T.View} view
 */
function follow({ win, doc }, { redirect_to: to, form_post: post }) {
  if (to) win.location.assign(to)
  if (post) {
    const form = Object.assign(doc.createElement('form'), { method: 'post', action: post.action, hidden: true })
    for (const [name, value] of Object.entries(post.fields)) form.append(Object.assign(doc.createElement('input'), { name, value }))
    doc.body.append(form)
    form.submit()
  }
  return to || post
}

/**
 * Passes the token or code to the site. Rejects if its callback does, or returns a Response whose
 * `ok` is false.
 *
 * @param {T.Env} env
 * @param {T.View} view
 * @param {CryptoKey | undefined} key
 * @param {AbortSignal} signal
 */
async function passToken(env, view, key, signal) {
  if (view.token_type === 'JWE') view = await decryptToken(env.subtle, key, view)
  if (signal.aborted) return
  /** @type {any} */
  const result = await env.onToken?.(view.token ?? view.code ?? '', view)
  const refused = [result].flat().find((answer) => answer?.ok === false)
  if (refused) throw new Error(`The site answered ${refused.status}.`)
}
