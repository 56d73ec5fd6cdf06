import { createLogin } from '../login.js'
import { chooseLanguage } from './language.js'
import { View } from './view.js'
import { words } from './words.js'

/** @import { Snapshot, View as HubView } from '../types.js' */
/** @typedef {ReturnType<typeof createLogin>} Login */
/**
 * @typedef {object} LoginDetail what the event `login` carries
 * @property {string} token
 * @property {HubView} view
 * @property {(taken: Promise<unknown>) => void} waitUntil the token is acknowledged once all of
 *   these resolve; if one rejects, or resolves to a Response whose `ok` is false, the token is
 *   given again, by another event
 */

const RESTARTS = ['hub', 'client', 'login-nonce']
// Servers import components as well, to render them; there it stays a name.
const Base = globalThis.HTMLElement ?? class {}

/**
 * `<login-qr client="demo" login-nonce="…">`: the code, who has scanned it, the number to match,
 * the countdown, and what to do when something is wrong. Attributes:
 *
 * - `hub`: the hub's URL; where this module came from by default
 * - `client`, `login-nonce`: as in createLogin (browsers hide an attribute named `nonce`)
 * - `lang`: zh-CN, zh-TW or en; by default the document's language, then the browser's
 * - `theme`: light or dark; by default the system's
 *
 * Events, none of which bubbles: `login` (LoginDetail), `state` (Snapshot), `error` (Problem).
 * Slots: `title`, `footer`. Parts: card, title, tile, code, user, initial, name, sign, refresh,
 * match, status, hint, time, button. Custom properties: --login-qr-accent, --login-qr-on-accent,
 * --login-qr-background, --login-qr-color.
 */
export class LoginQR extends Base {
  static observedAttributes = [...RESTARTS, 'lang']

  /** @type {View=} */
  #view
  /** @type {Login=} */
  #login
  /** @type {Snapshot} */
  #snapshot = { state: 'making' }
  #retryAt = 0
  /** @type {ReturnType<typeof setInterval>=} */
  #timer

  /** The state as it is now. */
  get snapshot() {
    return this.#snapshot
  }

  /** The nonce, for frameworks that set properties. */
  get loginNonce() {
    return this.getAttribute('login-nonce') ?? ''
  }

  set loginNonce(nonce) {
    this.setAttribute('login-nonce', nonce)
  }

  /** A new code, as if the user had asked for it. */
  refresh() {
    this.#login?.refresh()
  }

  connectedCallback() {
    this.#view ??= new View(this.shadowRoot ?? this.attachShadow({ mode: 'open' }), () => this.refresh(), words.en)
    this.#speak()
    this.#timer ??= setInterval(() => this.#tick(), 250)
    // Frameworks set attributes one by one, and move elements: the login starts once, afterwards.
    queueMicrotask(() => this.isConnected && !this.#login && this.#start())
  }

  disconnectedCallback() {
    queueMicrotask(() => this.isConnected || this.#stop())
  }

  /** @param {string} name @param {string | null} old @param {string | null} now */
  attributeChangedCallback(name, old, now) {
    if (old === now || !this.#view) return
    if (name === 'lang') return this.#speak()
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
      onState: (snapshot) => this.#changed(snapshot),
      onToken: (token, view) => this.#handOver(token, view),
    })
  }

  #stop() {
    this.#login?.stop()
    clearInterval(this.#timer)
    this.#login = this.#timer = undefined
  }

  /** @param {Snapshot} snapshot */
  #changed(snapshot) {
    this.#snapshot = snapshot
    this.#retryAt = snapshot.retryIn ? performance.now() + snapshot.retryIn * 1000 : 0
    this.#view?.show(snapshot)
    this.#tick()
    this.#tell('state', snapshot)
    if (snapshot.state === 'error') this.#tell('error', snapshot.error)
  }

  /** @param {string} token @param {HubView} view */
  #handOver(token, view) {
    /** @type {Promise<unknown>[]} */
    const taken = []
    this.#tell('login', { token, view, waitUntil: (/** @type {Promise<unknown>} */ promise) => taken.push(promise) })
    return Promise.all(taken)
  }

  /** @param {string} type @param {unknown} detail */
  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }))
  }

  #tick() {
    this.#view?.tick(this.#login?.remaining ?? 0, Math.max(0, Math.ceil((this.#retryAt - performance.now()) / 1000)))
  }

  #speak() {
    const around = this.closest('[lang]')?.getAttribute('lang')
    const language = chooseLanguage([around, ...navigator.languages])
    this.#view?.speak(words[language], language)
  }
}

/**
 * The hub that serves this module; for a bundle its own origin.
 *
 * @param {string} url
 */
function moduleHub(url) {
  const end = url.indexOf('/assets/client/widget/')
  return end < 0 ? new URL(url).origin : url.slice(0, end)
}

if (globalThis.customElements && !customElements.get('login-qr')) customElements.define('login-qr', LoginQR)
