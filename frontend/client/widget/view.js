/** @import { Snapshot } from '../types.js' */
/** @import { Words } from './words.js' */
import { style } from './style.js'

const TILE = 230 // pixels within the tile's border

/**
 * The widget's inside. It is built node by node: a site may forbid markup from strings (Trusted
 * Types), as it may forbid inline styles.
 */
export class View {
  /** @type {Snapshot} */
  #shown = { state: 'making' }
  #title; #code; #user; #initial; #name; #sign; #wait; #match; #number; #status; #hint; #time; #words
  #card; #veil; #button

  /**
   * @param {ShadowRoot} root
   * @param {() => void} refresh the user wants a new code
   * @param {Words} words
   */
  constructor(root, refresh, words) {
    this.#words = words
    const sheet = new CSSStyleSheet()
    sheet.replaceSync(style)
    root.adoptedStyleSheets = [sheet]
    this.#title = make('slot', { name: 'title' })
    this.#code = make('img', { part: 'code', class: 'code', width: String(TILE), height: String(TILE) })
    this.#initial = make('span', { class: 'initial', part: 'initial', 'aria-hidden': 'true' })
    this.#name = make('span', { class: 'name', part: 'name' })
    this.#user = make('div', { class: 'user', part: 'user' }, this.#initial, this.#name)
    this.#sign = make('span', { class: 'sign', part: 'sign', 'aria-hidden': 'true' })
    this.#wait = make('span', { class: 'wait', 'aria-hidden': 'true' })
    this.#veil = make('button', { class: 'veil', part: 'refresh', type: 'button' })
    this.#number = make('strong', {})
    this.#match = make('p', { class: 'match', part: 'match' }, make('span', {}), this.#number)
    this.#status = make('p', { class: 'status', part: 'status', role: 'status', 'aria-live': 'polite' })
    this.#hint = make('p', { class: 'hint', part: 'hint' })
    this.#time = make('p', { class: 'time', part: 'time', role: 'timer', 'aria-live': 'off' })
    this.#button = make('button', { class: 'button', part: 'button', type: 'button' })
    this.#card = make('div', { class: 'card', part: 'card', role: 'group', 'aria-labelledby': 'title', tabindex: '-1' },
      make('div', { class: 'title', part: 'title', id: 'title' }, this.#title),
      make('div', { class: 'tile', part: 'tile' }, this.#code, this.#user, this.#sign, this.#wait, this.#veil),
      this.#match, this.#status, this.#hint, this.#time, this.#button, make('slot', { name: 'footer' }))
    root.replaceChildren(this.#card)
    for (const button of [this.#veil, this.#button]) {
      button.addEventListener('click', () => {
        this.#card.focus() // the button goes away, and the keyboard's place with it
        refresh()
      })
    }
    this.#code.addEventListener('load', () => {
      // A code whose modules are whole pixels is crisp; the picture's own size counts them.
      const modules = this.#code.naturalWidth
      this.#code.width = this.#code.height = modules < TILE / 2 ? TILE - TILE % modules : TILE
    })
  }

  /** @param {Words} words @param {string} language */
  speak(words, language) {
    this.#words = words
    this.#card.lang = language
    this.show(this.#shown)
  }

  /** @param {Snapshot} snapshot */
  show(snapshot) {
    const { state, qrImage, matchCode, user } = this.#shown = snapshot
    const said = this.#words
    this.#card.dataset.state = state
    write(this.#title, said.title)
    this.#code.alt = said.alt
    if (qrImage && this.#code.getAttribute('src') !== qrImage) this.#code.src = qrImage
    this.#code.hidden = !['pending', 'expired'].includes(state)
    this.#wait.hidden = state !== 'making'
    const name = user?.nickname || said.someone
    this.#user.hidden = !['scanned', 'confirmed'].includes(state)
    // No picture: its address is the phone's word, and its server would learn the computer's.
    write(this.#initial, [...name][0].toUpperCase())
    write(this.#name, name)
    this.#sign.hidden = !['consumed', 'rejected', 'error'].includes(state)
    write(this.#sign, state === 'consumed' ? '✓' : state === 'rejected' ? '✕' : '!')
    this.#veil.hidden = state !== 'expired'
    write(this.#veil, said.refresh)
    this.#match.hidden = !matchCode || !['pending', 'scanned'].includes(state)
    write(/** @type {HTMLElement} */ (this.#match.firstChild), said.match)
    write(this.#number, matchCode ?? '')
    write(this.#status, said[state])
    write(this.#hint, hint(snapshot, said))
    const action = { scanned: said.notMe, rejected: said.again, error: said.retry }[/** @type {string} */ (state)]
    this.#button.hidden = !action
    write(this.#button, action ?? '')
  }

  /** @param {number} left @param {number} retry seconds, 0 for none */
  tick(left, retry) {
    const { state } = this.#shown
    const time = `${Math.floor(left / 60)}:${String(left % 60).padStart(2, '0')}`
    const waiting = ['pending', 'scanned'].includes(state) && left > 0
    if (state === 'error' && retry) write(this.#time, this.#words.retryIn.replace('{n}', String(retry)))
    else write(this.#time, waiting ? this.#words.left.replace('{time}', time) : '')
  }
}

/** @param {Snapshot} snapshot @param {Words} said */
function hint({ state, live, error }, said) {
  if (live === false && ['pending', 'scanned', 'confirmed'].includes(state)) return said.offline
  if (state === 'scanned') return said.claimed
  if (state === 'error') return said.errors[error?.code ?? ''] ?? (error?.foreign ? said.errors.network : said.errors.unknown)
  return ''
}

/**
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, string>} attributes
 * @param {Node[]} children
 */
function make(tag, attributes, ...children) {
  const element = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value)
  element.append(...children)
  return element
}

/**
 * A live region speaks whenever it is written to, so the same text is not written twice.
 *
 * @param {HTMLElement} element
 * @param {string} text
 */
function write(element, text) {
  if (element.textContent !== text) element.textContent = text
}
