import { createLogin } from '../login.js'

/**
 * A clock that only `advance` moves. Every due timer runs at its own time. `sleep` imitates a
 * suspended machine: only the wall clock moves.
 */
export class Clock {
  #now = 0
  #slept = 0
  #next = 1
  #timers = new Map()

  now = () => this.#now
  wall = () => this.#now + this.#slept
  sleep = (ms) => { this.#slept += ms }
  setTimeout = (run, ms = 0) => {
    this.#timers.set(this.#next, { at: this.#now + ms, run })
    return this.#next++
  }
  clearTimeout = (id) => this.#timers.delete(id)

  async advance(ms) {
    const end = this.#now + ms
    await settle()
    for (;;) {
      const due = [...this.#timers].filter(([, t]) => t.at <= end).sort((a, b) => a[1].at - b[1].at || a[0] - b[0])[0]
      if (!due) break
      this.#timers.delete(due[0])
      this.#now = due[1].at
      due[1].run()
      await settle()
    }
    this.#now = end
  }
}

/** Waits until all microtasks have run. */
export const settle = () => new Promise((done) => setImmediate(done))

/** A fake hub: `sockets` are the WebSockets, `calls` the requests that it received, `cancels` those that cancel. */
export class Hub {
  sockets = []
  calls = []
  cancels = []
  created = 0
  refuse // if set, answers the creation of tickets: () => Response

  WebSocket = (() => {
    const { sockets } = this
    return class {
      readyState = 0
      sent = []
      constructor(url, protocols) {
        Object.assign(this, { url, protocols })
        sockets.push(this)
      }
      send(text) {
        this.sent.push(JSON.parse(text))
      }
      close() {
        this.readyState = 3
      }
      sendView(view) {
        this.readyState ||= 1
        this.onmessage?.({ data: JSON.stringify(view) })
      }
      closeWith(code) {
        this.readyState = 3
        this.onclose?.({ code })
      }
    }
  })()

  fetch = (url, init) => {
    const call = { url, init, path: new URL(url).pathname, aborted: false }
    ;(call.path.endsWith('/cancel') ? this.cancels : this.calls).push(call)
    if (call.path === '/api/login/tickets') return Promise.resolve(this.refuse?.() ?? json(201, this.#ticket()))
    return new Promise((resolve, reject) => {
      call.answer = (status, body, headers) => resolve(json(status, body, headers))
      call.respond = resolve
      call.fail = () => reject(new TypeError('Failed to fetch'))
      init.signal.addEventListener('abort', () => {
        call.aborted = true
        reject(new DOMException('aborted', 'AbortError'))
      })
    })
  }

  #ticket() {
    const n = ++this.created
    return {
      ticket: `ticket${n}`, secret: `secret${n}`, state: 'pending', seq: 1, expires_in: 120,
      qr_url: `https://hub.test/s/ticket${n}`, qr_image: `/api/login/tickets/ticket${n}/qr.svg`,
    }
  }

  get socket() {
    return this.sockets.at(-1)
  }

  requests(what) {
    return this.calls.filter((call) => call.path.endsWith(`/${what}`))
  }
}

/** An answer of the hub. */
export function json(status, body, headers) {
  const type = status < 400 ? 'application/json' : 'application/problem+json'
  return new Response(body === undefined ? null : JSON.stringify(body), { status, headers: { 'Content-Type': type, ...headers } })
}

/** Starts a login against a fake hub. `random` is 0.5 by default. */
export async function login(t, { clock = new Clock(), ...options } = {}) {
  const hub = new Hub()
  const storage = new Map()
  const win = new EventTarget()
  const doc = Object.assign(new EventTarget(), { hidden: false })
  const states = []
  const page = createLogin({
    hub: 'https://hub.test', clientId: 'demo', nonce: 'n', random: () => 0.5,
    fetch: hub.fetch, WebSocket: hub.WebSocket, clock, win, doc, subtle: undefined,
    storage: () => ({ getItem: (k) => storage.get(k) ?? null, setItem: (k, v) => storage.set(k, v) }),
    ...options,
    onState: (snapshot) => states.push(snapshot),
  })
  t.after(() => page.stop())
  await settle()
  const hide = (hidden) => {
    doc.hidden = hidden
    doc.dispatchEvent(new Event('visibilitychange'))
  }
  return {
    hub, clock, storage, win, doc, hide, page, states,
    get now() {
      return states.at(-1)
    },
  }
}

export const pending = { state: 'pending', seq: 1, expires_in: 120 }
export const scanned = { state: 'scanned', seq: 2, expires_in: 60, user: { nickname: '小明' } }
export const confirmed = { state: 'confirmed', seq: 3, expires_in: 60, token: 'T', token_expires_in: 300 }
export const consumed = { state: 'consumed', seq: 4 }
export const expired = { state: 'expired', seq: 2 }
