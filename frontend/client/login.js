import { Line, backoff } from './line.js'
import { makeTicket } from './ticket.js'

export { Problem } from './ticket.js'

/**
 * One QR login, from the making of the ticket to the acknowledged token.
 *
 *     making → pending → scanned → confirmed → consumed
 *     pending, scanned → rejected
 *     any → expired (→ making, while `renewals` last and the page is visible)
 *     any → error (→ making after `retryIn` seconds, where there is one)
 *
 * Options: `hub` (origin), `clientId`, `nonce`, `renewals`, `onState(snapshot)` and
 * `onToken(token, view)`: the token is acknowledged once its promise resolves and handed over
 * again if it rejects. The others are for tests.
 * Snapshot: state, live, qrUrl, qrImage, matchCode, user (claimed), error (Problem), retryIn.
 */
export function createLogin(options) {
  return new Login({
    hub: globalThis.location?.origin,
    renewals: 5,
    onState() {},
    fetch: (...args) => fetch(...args),
    WebSocket: globalThis.WebSocket,
    clock: {
      now: () => performance.now(),
      setTimeout: (run, ms) => setTimeout(run, ms),
      clearTimeout: (id) => clearTimeout(id),
    },
    random: Math.random,
    storage: () => sessionStorage,
    win: globalThis.window,
    doc: globalThis.document,
    ...options,
  })
}

class Login {
  #env; #snapshot = {}; #ticket; #line
  #turn // aborted when another ticket takes over
  #seq; #deadline; #handed; #taken
  #renewed; #fails; #retry; #asleep
  #ended = new AbortController()

  constructor(env) {
    this.#env = env
    const on = (target, type, run) => target?.addEventListener(type, run, { signal: this.#ended.signal })
    on(env.win, 'online', () => this.#wake(true))
    on(env.win, 'pagehide', () => this.#line?.close())
    on(env.win, 'pageshow', (event) => event.persisted && this.#wake(true))
    on(env.doc, 'visibilitychange', () => env.doc.hidden || this.#wake())
    queueMicrotask(() => this.#ended.signal.aborted || this.refresh())
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

  #wake(anew) {
    if (this.#asleep) return this.#renew()
    this.#line?.wake(anew)
    const { error } = this.#snapshot
    if (this.#retry && error && !error.retryAfter) this.#make()
  }

  #drop() {
    this.#turn?.abort()
    this.#env.clock.clearTimeout(this.#retry)
    this.#line?.close()
    this.#line = this.#retry = this.#handed = this.#taken = this.#asleep = undefined
  }

  async #make(state) {
    this.#drop()
    const { signal } = this.#turn = new AbortController()
    if (state) this.#tell({ state })
    try {
      const ticket = await makeTicket(this.#env, signal)
      if (!signal.aborted) this.#begin(ticket)
    } catch (problem) {
      if (!signal.aborted) this.#refused(problem)
    }
  }

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

  #refused(error) {
    if (!error.passing) return this.#end({ state: 'error', error })
    const delay = (error.retryAfter ?? 1) * 1000 + backoff(this.#env, this.#fails++)
    this.#retry = this.#env.clock.setTimeout(() => this.#make(), delay)
    this.#tell({ state: 'error', error, retryIn: Math.ceil(delay / 1000) })
  }

  #view(view) {
    if (view.seq < this.#seq) return // overtaken on the other transport
    this.#seq = view.seq
    if (view.expires_in >= 0) this.#deadline = this.#env.clock.now() + view.expires_in * 1000
    if (view.state === 'expired') return this.#expired()
    const { qr_url: qrUrl, qr_image: qrImage, match_code: matchCode } = this.#ticket
    const snapshot = { state: view.state, live: true, qrUrl, qrImage, matchCode, user: view.user }
    if (view.state === 'consumed' || view.state === 'rejected') return this.#end(snapshot)
    this.#tell(snapshot)
    if (view.state === 'confirmed') this.#deliver(view)
  }

  async #deliver(view) {
    const { signal } = this.#turn
    try {
      this.#handed ??= Promise.resolve(this.#env.onToken?.(view.token, view))
      await this.#handed.catch((err) => {
        this.#handed = undefined
        throw err
      })
      if (signal.aborted) return
      this.#taken = true
      await this.#line.ack(view.seq)
    } catch {
      if (signal.aborted) return
      // Connecting anew brings the view again.
      this.#env.clock.clearTimeout(this.#retry)
      this.#retry = this.#env.clock.setTimeout(() => this.#line.wake(true), backoff(this.#env, ++this.#fails))
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

  #end(snapshot) {
    this.#drop()
    this.#tell(snapshot)
  }

  #tell(snapshot) {
    this.#snapshot = snapshot
    try {
      this.#env.onState(snapshot)
    } catch (err) {
      this.#env.clock.setTimeout(() => { throw err }) // the site's own mistake stops nothing here
    }
  }
}
