import { createLogin } from '../login.js'
import { chooseLanguage } from './language.js'
import { View } from './view.js'
import { messages } from './messages.js'

/** @import { Snapshot, View as HubView } from '../types.js' */
/** @typedef {ReturnType<typeof createLogin>} Login */
/**
 * @typedef {object} LoginDetail what the event `login` carries
 * @property {string} token
 * @property {HubView} view
 * @property {(taken: Promise<unknown>) => void} waitUntil the token is acknowledged when all of
 *   these promises resolve. If one rejects, or resolves to a Response whose `ok` is false, the token
 *   is passed again, by another event
 */

const RESTARTING_ATTRIBUTES = ['hub', 'client', 'login-nonce']
// Servers import components too, to render pages. They have no HTMLElement.
const Base = globalThis.HTMLElement ?? class {}

/**
 * `<login-qr client="demo" login-nonce="…">` shows the QR code, the user who scanned it, the
 * number to match, the time left, and what to do after an error. Attributes:
 *
 * - `hub`: the hub's URL; by default the hub that served this module
 * - `client`, `login-nonce`: as in createLogin (browsers hide an attribute named `nonce`)
 * - `lang`: zh-CN, zh-TW, en, ja, ko or ar; by default the document's language, then the browser's
 * - `theme`: light or dark; by default the system's
 *
 * Events, none of which bubbles: `login` (LoginDetail), `state` (Snapshot), `error` (Problem).
 * Slots: `title`, `footer`. Parts: card, logo, title, ring, tile, code, user, initial, name, sign, refresh,
 * match, status, hint, open, time, button. Custom properties: --login-qr-accent, --login-qr-on-accent,
 * --login-qr-background, --login-qr-color.
 */
export class LoginQR extends Base {
  static observedAttributes = [...RESTARTING_ATTRIBUTES, 'lang']

  /** @type {View=} */
  #view
  /** @type {Login=} */
  #login
  /** @type {Snapshot} */
  #snapshot = { state: 'making' }
  #retryAt = 0
  /** @type {ReturnType<typeof setInterval>=} */
  #timer

  /** The current state. */
  get snapshot() {
    return this.#snapshot
  }

  /** The nonce as a property, for frameworks that set properties. */
  get loginNonce() {
    return this.getAttribute('login-nonce') ?? ''
  }

  set loginNonce(nonce) {
    this.setAttribute('login-nonce', nonce)
  }

  /** Gets a new QR code, as if the user had asked for it. */
  refresh() {
    this.#login?.refresh()
  }

  /** Cancels the login, for the phone too. */
  cancel() {
    this.#login?.cancel()
  }

  connectedCallback() {
    this.#view ??= new View(this.shadowRoot ?? this.attachShadow({ mode: 'open' }), {
      refresh: () => this.refresh(),
      fail: (error) => this.#login?.fail(error),
      keepTicket: () => this.#login?.keepTicket(),
      client: () => this.getAttribute('client'),
      ticket: () => this.#login?.ticket,
    }, messages.en)
    this.#setLanguage()
    this.#timer ??= setInterval(() => this.#tick(), 250)
    document.addEventListener('visibilitychange', this.#tick) // a hidden tab's timers are slow
    // Frameworks set attributes one by one, and move elements. The login starts once, after that.
    queueMicrotask(() => this.isConnected && !this.#login && this.#start())
  }

  disconnectedCallback() {
    queueMicrotask(() => this.isConnected || this.#stop())
  }

  /** @param {string} name @param {string | null} old @param {string | null} now */
  attributeChangedCallback(name, old, now) {
    if (old === now || !this.#view) return
    if (name === 'lang') return this.#setLanguage()
    if (!this.#login) return
    this.#login.stop()
    this.#login = undefined
    queueMicrotask(() => this.isConnected && !this.#login && this.#start())
  }

  #start() {
    this.#login = createLogin({
      hub: this.getAttribute('hub') || moduleHub(import.meta.url),
      clientId: this.getAttribute('client') ?? undefined,
      nonce: this.getAttribute('login-nonce') ?? undefined,
      onState: (snapshot) => this.#showState(snapshot),
      onToken: (token, view) => this.#passToken(token, view),
    })
  }

  #stop() {
    this.#login?.stop()
    clearInterval(this.#timer)
    document.removeEventListener('visibilitychange', this.#tick)
    this.#login = this.#timer = undefined
  }

  /** @param {Snapshot} snapshot */
  #showState(snapshot) {
    this.#snapshot = snapshot
    this.#retryAt = snapshot.retryIn ? performance.now() + snapshot.retryIn * 1000 : 0
    this.#view?.show(snapshot)
    this.#tick()
    this.#dispatch('state', snapshot)
    if (snapshot.state === 'error') this.#dispatch('error', snapshot.error)
  }

  /** @param {string} token @param {HubView} view */
  #passToken(token, view) {
    /** @type {Promise<unknown>[]} */
    const taken = []
    this.#dispatch('login', { token, view, waitUntil: (/** @type {Promise<unknown>} */ promise) => taken.push(promise) })
    return Promise.all(taken)
  }

  /** @param {string} type @param {unknown} detail */
  #dispatch(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }))
  }

  #tick = () => {
    this.#view?.tick(this.#login?.remaining ?? 0, Math.max(0, Math.ceil((this.#retryAt - performance.now()) / 1000)))
  }

  #setLanguage() {
    const inherited = this.closest('[lang]')?.getAttribute('lang')
    const language = chooseLanguage([inherited, ...navigator.languages], Object.keys(messages))
    this.#view?.setLanguage(messages[language], language)
  }
}

/**
 * Returns the hub that served this module. For a bundle it is the bundle's origin.
 *
 * @param {string} url
 */
function moduleHub(url) {
  const end = url.indexOf('/assets/client/widget/')
  return end < 0 ? new URL(url).origin : url.slice(0, end)
}

if (globalThis.customElements && !customElements.get('login-qr')) customElements.define('login-qr', LoginQR)
