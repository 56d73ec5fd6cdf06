import { Connection } from './connection.js'
import { backoff, moment, since } from './elapsed.js'
import { makeTicket, Problem } from './ticket.js'

export { Problem } from './ticket.js'

/** @import * as T from './types.js' */

const LIFECYCLE = ['visibilitychange', 'pagehide', 'pageshow', 'freeze', 'resume', 'online']
const LONGEST_REFUSAL = 60 // seconds
const ACK_TIMEOUT = 3000

/**
 * Starts a login. Throws a TypeError if `hub` is no URL.
 *
 * @param {T.Options} options
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
    win: globalThis.window,
    doc: globalThis.document,
    ...options,
    hub: baseURL(options.hub ?? globalThis.location?.origin),
  })
}

/**
 * The address below which the hub's paths are, with a slash at the end.
 *
 * @param {string} hub
 */
function baseURL(hub) {
  const url = new URL(hub, globalThis.location?.href)
  url.search = url.hash = ''
  url.pathname = url.pathname.replace(/\/*$/, '/')
  return url.href
}

/** One login, from the creation of its ticket to the acknowledged token: `State` is its machine. */
class Login {
  #env
  /** @type {T.Snapshot} */
  #snapshot = { state: 'making' }
  /** @type {T.Ticket=} */
  #ticket
  /** @type {Connection=} */
  #connection
  /** @type {T.View=} */
  #confirmed
  #confirmedAt
  #turn = new AbortController() // aborted when another ticket takes over
  #seq = 0; #deadline = 0; #renewed = 0; #fails = 0; #retry = 0
  #making = false; #delivering = false; #taken = false; #asleep = false
  #stale = false // the page was hidden since the last wake: what was asked before may be lost
  #ended = new AbortController()

  /** @param {T.Env} env */
  constructor(env) {
    this.#env = env
    this.#confirmedAt = moment(env)
    const { signal } = this.#ended
    for (const target of [env.win, env.doc]) {
      for (const type of LIFECYCLE) target?.addEventListener(type, (event) => this.#lifecycle(event), { signal })
    }
    queueMicrotask(() => signal.aborted || this.refresh())
  }

  /** Whole seconds left, by the hub's last view and the monotonic clock. */
  get remaining() {
    return Math.max(0, Math.ceil((this.#deadline - this.#env.clock.now()) / 1000)) || 0
  }

  /** The ticket of the code that is shown. */
  get ticket() {
    return this.#ticket
  }

  /** The user wants a new code. */
  refresh() {
    this.#renewed = this.#fails = 0
    this.#make('making')
  }

  stop() {
    this.#ended.abort()
    this.#drop()
  }

  /** @param {{type: string, persisted?: boolean}} event */
  #lifecycle({ type, persisted }) {
    const hidden = type === 'visibilitychange' && this.#env.doc?.hidden
    if (type === 'pagehide') this.#connection?.close() // or the browser does not keep the page
    if (hidden || type === 'pagehide' || type === 'freeze') this.#stale = true
    else this.#wake(type === 'online' || persisted)
  }

  /** @param {boolean=} anew */
  #wake(anew) {
    const stale = this.#stale
    this.#stale = false
    if (this.#asleep) return this.#renew()
    this.#connection?.wake({ anew, stale })
    if (this.#confirmed && !this.#taken) this.#deliver()
    const { error } = this.#snapshot
    if (this.#making ? stale : this.#retry && error && !error.retryAfter) this.#make()
  }

  #drop() {
    this.#turn.abort()
    this.#env.clock.clearTimeout(this.#retry)
    this.#connection?.close()
    this.#connection = this.#confirmed = undefined
    this.#retry = 0
    this.#making = this.#delivering = this.#taken = this.#asleep = false
  }

  /** @param {'making'=} state */
  async #make(state) {
    this.#drop()
    const { signal } = this.#turn = new AbortController()
    this.#making = true
    if (state) this.#tell({ state })
    try {
      const ticket = await makeTicket(this.#env, signal)
      if (!signal.aborted) this.#begin(ticket, signal)
    } catch (problem) {
      if (!signal.aborted) this.#refused(/** @type {T.Problem} */ (problem))
    }
  }

  /**
   * @param {T.Ticket} ticket
   * @param {AbortSignal} signal
   */
  #begin(ticket, signal) {
    this.#making = false
    this.#ticket = ticket
    this.#seq = this.#fails = 0
    this.#view(ticket)
    if (signal.aborted) return
    this.#connection = new Connection(this.#env, ticket, {
      view: (view) => signal.aborted || this.#view(view),
      live: (live) => signal.aborted || live === this.#snapshot.live || this.#tell({ ...this.#snapshot, live }),
      gone: () => this.#expired(),
      fail: (error) => this.#lost() || this.#end({ state: 'error', error }),
    })
  }

  /** @param {T.Problem} error */
  #refused(error) {
    if (!error.passing) return this.#end({ state: 'error', error })
    this.#making = false
    const { retryAfter } = error
    const pause = backoff(this.#env, this.#fails++)
    const delay = 1000 * Math.min(retryAfter ?? 1, LONGEST_REFUSAL) + pause
    this.#retry = this.#env.clock.setTimeout(() => this.#make(), delay)
    this.#tell({ state: 'error', live: false, error, retryIn: Math.ceil(delay / 1000) })
  }

  /** @param {T.View} view */
  #view(view) {
    if (view.seq < this.#seq) return // overtaken on the other transport
    this.#seq = view.seq
    const { state, user, expires_in: left } = view
    if (left !== undefined) this.#deadline = this.#env.clock.now() + left * 1000
    if (state === 'expired') return this.#expired()
    const { qr_url: qrUrl, qr_image: qrImage, match_code: matchCode } = /** @type {T.Ticket} */ (this.#ticket)
    const snapshot = { state, live: true, qrUrl, qrImage, matchCode, user }
    if (state === 'consumed' || state === 'rejected') return this.#end(snapshot)
    const { signal } = this.#turn
    this.#tell(snapshot)
    if (state !== 'confirmed' || signal.aborted) return
    if (this.#confirmed?.seq !== view.seq) {
      this.#confirmed = view
      this.#confirmedAt = moment(this.#env)
    }
    if (this.#taken || !this.#retry) this.#deliver()
  }

  /** Gives the token to the site until it takes it, then tells the hub. */
  async #deliver() {
    if (this.#delivering || !this.#confirmed) return
    const { signal } = this.#turn
    const { seq } = this.#confirmed
    this.#delivering = true
    this.#env.clock.clearTimeout(this.#retry)
    this.#retry = 0
    try {
      if (!this.#taken) await handOver(this.#env, this.#confirmed)
      if (signal.aborted) return
      this.#taken = true
      if (!this.#connection) return this.#lost()
      await this.#connection.ack(seq)
      this.#again(ACK_TIMEOUT) // over a dead socket it is lost without a sign
    } catch (error) {
      if (!signal.aborted) this.#undelivered(/** @type {Error} */ (error))
    } finally {
      if (!signal.aborted) this.#delivering = false
    }
  }

  /** @param {Error | T.Problem} error */
  #undelivered(error) {
    const env = this.#env
    if (this.#taken) {
      const final = error instanceof Problem && !error.passing
      if ((final && [404, 410].includes(error.status)) || !this.remaining) return this.#lost()
      if (final) return // the next view has another seq
    } else {
      const { token_expires_in: left = 60 } = /** @type {T.View} */ (this.#confirmed)
      if (since(env, this.#confirmedAt) >= left * 1000) {
        return this.#end({ state: 'error', error: new Problem('token_not_accepted', 0, String(error?.message ?? error)) })
      }
    }
    this.#again(0)
  }

  /** @param {number} pause */
  #again(pause) {
    this.#retry = this.#env.clock.setTimeout(() => {
      this.#connection?.wake()
      this.#deliver()
    }, pause + backoff(this.#env, ++this.#fails))
  }

  /** The hub has no more to say of this ticket; true if its login goes on: the token outlives it. */
  #lost() {
    if (!this.#confirmed) return false
    this.#connection?.close()
    this.#connection = undefined
    if (this.#taken) this.#end({ ...this.#snapshot, state: 'consumed' })
    return true
  }

  #expired() {
    if (this.#lost()) return
    this.#drop()
    this.#asleep = this.#renewed < this.#env.renewals
    this.#tell({ ...this.#snapshot, state: 'expired' })
    this.#renew()
  }

  /** Never in a hidden tab. */
  #renew() {
    if (!this.#asleep || this.#env.doc?.hidden) return
    this.#renewed++
    this.#make('making')
  }

  /** @param {T.Snapshot} snapshot */
  #end(snapshot) {
    this.#drop()
    this.#tell(snapshot)
  }

  /** @param {T.Snapshot} snapshot */
  #tell(snapshot) {
    this.#snapshot = snapshot
    try {
      this.#env.onState(snapshot)
    } catch (err) {
      this.#env.clock.setTimeout(() => { throw err }) // the site's own mistake stops nothing here
    }
  }
}

/**
 * Rejects if the site's handler rejects or gives a Response that is no success: `fetch` resolves
 * on a 500 too.
 *
 * @param {T.Env} env
 * @param {T.View} view
 */
async function handOver(env, view) {
  /** @type {any} */
  const taken = await env.onToken?.(view.token ?? '', view)
  const refused = [taken].flat().find((answer) => answer?.ok === false)
  if (refused) throw new Error(`The site answered ${refused.status}.`)
}
