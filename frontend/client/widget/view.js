/** @import { Snapshot } from '../types.js' */
/** @import { Messages } from './messages.js' */
import { style } from './style.js'

const TILE = 230 // pixels inside the tile's border

/**
 * The widget's content. It is built from nodes: a site may forbid markup from strings (Trusted
 * Types) and inline styles.
 */
export class View {
  /** @type {Snapshot} */
  #snapshot = { state: 'making' }
  #title; #code; #user; #initial; #name; #sign; #spinner; #match; #number; #status; #hint; #time; #messages
  #card; #veil; #button

  /**
   * @param {ShadowRoot} root
   * @param {() => void} refresh gets a new QR code
   * @param {Messages} messages
   */
  constructor(root, refresh, messages) {
    this.#messages = messages
    const sheet = new CSSStyleSheet()
    sheet.replaceSync(style)
    root.adoptedStyleSheets = [sheet]
    this.#title = createElement('slot', { name: 'title' })
    this.#code = createElement('img', { part: 'code', class: 'code', width: String(TILE), height: String(TILE) })
    this.#initial = createElement('span', { class: 'initial', part: 'initial', 'aria-hidden': 'true' })
    this.#name = createElement('span', { class: 'name', part: 'name' })
    this.#user = createElement('div', { class: 'user', part: 'user' }, this.#initial, this.#name)
    this.#sign = createElement('span', { class: 'sign', part: 'sign', 'aria-hidden': 'true' })
    this.#spinner = createElement('span', { class: 'wait', 'aria-hidden': 'true' })
    this.#veil = createElement('button', { class: 'veil', part: 'refresh', type: 'button' })
    this.#number = createElement('strong', {})
    this.#match = createElement('p', { class: 'match', part: 'match' }, createElement('span', {}), this.#number)
    this.#status = createElement('p', { class: 'status', part: 'status', role: 'status', 'aria-live': 'polite' })
    this.#hint = createElement('p', { class: 'hint', part: 'hint' })
    this.#time = createElement('p', { class: 'time', part: 'time', role: 'timer', 'aria-live': 'off' })
    this.#button = createElement('button', { class: 'button', part: 'button', type: 'button' })
    this.#card = createElement('div', { class: 'card', part: 'card', role: 'group', 'aria-labelledby': 'title', tabindex: '-1' },
      createElement('div', { class: 'title', part: 'title', id: 'title' }, this.#title),
      createElement('div', { class: 'tile', part: 'tile' }, this.#code, this.#user, this.#sign, this.#spinner, this.#veil),
      this.#match, this.#status, this.#hint, this.#time, this.#button, createElement('slot', { name: 'footer' }))
    root.replaceChildren(this.#card)
    for (const button of [this.#veil, this.#button]) {
      button.addEventListener('click', () => {
        this.#card.focus() // the button disappears, and would take the keyboard focus with it
        refresh()
      })
    }
    this.#code.addEventListener('load', () => {
      // The code is sharp if a module is a whole number of pixels. The image's own size is its number of modules.
      const modules = this.#code.naturalWidth
      this.#code.width = this.#code.height = modules < TILE / 2 ? TILE - TILE % modules : TILE
    })
  }

  /** @param {Messages} messages @param {string} language */
  setLanguage(messages, language) {
    this.#messages = messages
    this.#card.lang = language
    this.show(this.#snapshot)
  }

  /** @param {Snapshot} snapshot */
  show(snapshot) {
    const { state, qrImage, matchCode, user } = this.#snapshot = snapshot
    const messages = this.#messages
    this.#card.dataset.state = state
    setText(this.#title, messages.title)
    this.#code.alt = messages.alt
    if (qrImage && this.#code.getAttribute('src') !== qrImage) this.#code.src = qrImage
    this.#code.hidden = !['pending', 'expired'].includes(state)
    this.#spinner.hidden = state !== 'making'
    const name = user?.nickname || messages.someone
    this.#user.hidden = !['scanned', 'confirmed'].includes(state)
    // The avatar is not loaded: the phone chose its URL, and that server would learn the computer's address.
    setText(this.#initial, [...name][0].toUpperCase())
    setText(this.#name, name)
    this.#sign.hidden = !['consumed', 'rejected', 'error'].includes(state)
    setText(this.#sign, state === 'consumed' ? '✓' : state === 'rejected' ? '✕' : '!')
    this.#veil.hidden = state !== 'expired'
    setText(this.#veil, messages.refresh)
    this.#match.hidden = !matchCode || !['pending', 'scanned'].includes(state)
    setText(/** @type {HTMLElement} */ (this.#match.firstChild), messages.match)
    setText(this.#number, matchCode ?? '')
    setText(this.#status, messages[state])
    setText(this.#hint, hint(snapshot, messages))
    const action = { scanned: messages.notMe, rejected: messages.again, error: messages.retry }[/** @type {string} */ (state)]
    this.#button.hidden = !action
    setText(this.#button, action ?? '')
  }

  /** @param {number} left @param {number} retry seconds, 0 for none */
  tick(left, retry) {
    const { state } = this.#snapshot
    const time = `${Math.floor(left / 60)}:${String(left % 60).padStart(2, '0')}`
    const waiting = ['pending', 'scanned'].includes(state) && left > 0
    if (state === 'error' && retry) setText(this.#time, this.#messages.retryIn.replace('{n}', String(retry)))
    else setText(this.#time, waiting ? this.#messages.left.replace('{time}', time) : '')
  }
}

/** @param {Snapshot} snapshot @param {Messages} messages */
function hint({ state, live, error }, messages) {
  if (live === false && ['pending', 'scanned', 'confirmed'].includes(state)) return messages.offline
  if (state === 'scanned') return messages.claimed
  if (state === 'error') return messages.errors[error?.code ?? ''] ?? (error?.foreign ? messages.errors.network : messages.errors.unknown)
  return ''
}

/**
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, string>} attributes
 * @param {Node[]} children
 */
function createElement(tag, attributes, ...children) {
  const element = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value)
  element.append(...children)
  return element
}

/**
 * Sets a text, unless it is the same: a screen reader reads a live region again at every write.
 *
 * @param {HTMLElement} element
 * @param {string} text
 */
function setText(element, text) {
  if (element.textContent !== text) element.textContent = text
}
