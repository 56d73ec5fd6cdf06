import { Line, backoff } from './line.js'
import { makeTicket } from './ticket.js'

export { Problem } from './ticket.js'

/** @import * as T from './types.js' */

/** @param {T.Options} options */
export function createLogin(options) {
  return new Login({
    hub: globalThis.location?.origin,
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
  })
}

/** One login, from the making of its ticket to the acknowledged token: `State` is its machine. */
class Login {
  #env
  /** @type {T.Snapshot} */
  #snapshot = { state: 'making' }
  /** @type {T.Ticket=} */
  #ticket
  /** @type {Line=} */
  #line
  #turn = new AbortController() // aborted when another ticket takes over
  /** @type {Promise<unknown>=} */
  #handed
  #seq = 0; #deadline = 0; #renewed = 0; #fails = 0; #retry = 0
  #taken = false; #asleep = false
  #ended = new AbortController()

  /** @param {T.Env} env */
  constructor(env) {
    this.#env = env
    const { win, doc } = env
    const { signal } = this.#ended
    win?.addEventListener('online', () => this.#wake(true), { signal })
    win?.addEventListener('pagehide', () => this.#line?.close(), { signal })
    win?.addEventListener('pageshow', (event) => event.persisted && this.#wake(true), { signal })
    doc?.addEventListener('visibilitychange', () => doc.hidden || this.#wake(), { signal })
    queueMicrotask(() => signal.aborted || this.refresh())
  }

  /** Whole seconds left, by the hub's last word and the monotonic clock. */
  get remaining() {
    return Math.max(0, Math.ceil((this.#deadline - this.#env.clock.now()) / 1000)) || 0
  }

  /** What made the code. */
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

  #wake(anew = false) {
    if (this.#asleep) return this.#renew()
    this.#line?.wake(anew)
    const { error } = this.#snapshot
    if (this.#retry && error && !error.retryAfter) this.#make()
  }

  #drop() {
    this.#turn.abort()
    this.#env.clock.clearTimeout(this.#retry)
    this.#line?.close()
    this.#line = this.#handed = undefined
    this.#retry = 0
    this.#taken = this.#asleep = false
  }

  /** @param {'making'=} state */
  async #make(state) {
    this.#drop()
    const { signal } = this.#turn = new AbortController()
    if (state) this.#tell({ state })
    try {
      const ticket = await makeTicket(this.#env, signal)
      if (!signal.aborted) this.#begin(ticket)
    } catch (problem) {
      if (!signal.aborted) this.#refused(/** @type {T.Problem} */ (problem))
    }
  }

  /** @param {T.Ticket} ticket */
  #begin(ticket) {
    this.#ticket = ticket
    this.#seq = this.#fails = 0
    this.#view(ticket)
    this.#line = new Line(this.#env, ticket, {
      view: (view) => this.#view(view),
      live: (live) => live !== this.#snapshot.live && this.#tell({ ...this.#snapshot, live }),
      gone: () => this.#expired(),
      fail: (error) => this.#end({ state: 'error', error }),
    })
  }

  /** @param {T.Problem} error */
  #refused(error) {
    if (!error.passing) return this.#end({ state: 'error', error })
    const delay = (error.retryAfter ?? 1) * 1000 + backoff(this.#env, this.#fails++)
    this.#retry = this.#env.clock.setTimeout(() => this.#make(), delay)
    this.#tell({ state: 'error', error, retryIn: Math.ceil(delay / 1000) })
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
    this.#tell(snapshot)
    if (state === 'confirmed') this.#deliver(view)
  }

  /** @param {T.View} view */
  async #deliver(view) {
    const { signal } = this.#turn
    try {
      this.#handed ??= Promise.resolve(this.#env.onToken?.(view.token ?? '', view))
      await this.#handed.catch((err) => {
        this.#handed = undefined
        throw err
      })
      if (signal.aborted) return
      this.#taken = true
      await this.#line?.ack(view.seq)
    } catch {
      if (signal.aborted) return
      // Connecting anew brings the view again.
      this.#env.clock.clearTimeout(this.#retry)
      this.#retry = this.#env.clock.setTimeout(() => this.#line?.wake(true), backoff(this.#env, ++this.#fails))
    }
  }

  #expired() {
    if (this.#taken) return this.#end({ ...this.#snapshot, state: 'consumed' })
    this.#drop()
    this.#asleep = this.#renewed < this.#env.renewals
    this.#tell({ ...this.#snapshot, state: 'expired' })
    if (!this.#env.doc?.hidden) this.#renew()
  }

  #renew() {
    if (!this.#asleep) return
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
