/** @import { Ticket } from '../internal.js' */
/** @import { Problem, Snapshot } from '../types.js' */
/** @import { Messages } from './messages.js' */
import { appName, createMark, fillApps } from './apps.js'
import { showBranding } from './branding.js'
import { fitCode, watchCode } from './code.js'
import { clientsEntry, errorText, isCodeless, launchKey, requestLine, setLaunchLink, textFor } from './hints.js'
import { LivingCode, withFrame } from './livingcode.js'
import { cleanName, initialOf } from './names.js'
import { createPicture, pictureOf, showPicture } from './picture.js'
import { createRing, createSVG, createTick } from './ring.js'
import { style } from './style.js'

/** What is drawn in the tile, by state: paths in a square of 48. */
const SIGNS = { 'confirmed consumed': 'M14 24.6l7 7L34.5 17.5', rejected: 'M17 17l14 14M31 17L17 31', error: 'M24 13v14M24 33.5v.5' }

/**
 * The widget's content. It is built from nodes: a site may forbid markup from strings (Trusted
 * Types) and inline styles.
 */
export class View {
  /** @type {Snapshot} */
  #snapshot = { state: 'making' }
  #title; #code; #user; #initial; #name; #note; #sign; #spinner; #match; #number; #marks; #spoken; #text; #status; #hint; #time; #retry; #messages
  #card; #logo; #frame; #turnRing; #veil; #open; #button; #client
  #picture = createPicture()
  #shownName = '' // of the last user: the final view has none
  #shownPicture = ''
  #living; #ticket; #codeFrame = '' // of the living code

  /**
   * @param {ShadowRoot} root
   * @param {{refresh(): void, fail(error: Problem): void, keepTicket(): void, client(): string | null, ticket(): Ticket | undefined}} login
   * @param {Messages} messages
   */
  constructor(root, login, messages) {
    this.#messages = messages
    this.#client = login.client
    this.#ticket = login.ticket
    this.#title = createElement('slot', { name: 'title' })
    this.#code = createElement('img', { part: 'code', class: 'code' })
    this.#initial = createElement('span', {})
    this.#name = createElement('span', { class: 'name', part: 'name' })
    this.#note = createElement('small', {})
    this.#user = createElement('div', { class: 'user', part: 'user' },
      createElement('span', { class: 'initial', part: 'initial', 'aria-hidden': 'true' }, this.#initial, this.#picture, createTick()), this.#name, this.#note)
    this.#sign = createSVG('svg', { class: 'sign', part: 'sign', viewBox: '0 0 48 48', 'aria-hidden': 'true' },
      createSVG('rect', { x: '3', y: '3', width: '42', height: '42', rx: '12' }),
      ...Object.entries(SIGNS).map(([state, d]) => createSVG('path', { class: state, d, pathLength: '1' })))
    this.#spinner = createElement('span', { class: 'wait', 'aria-hidden': 'true' })
    this.#veil = createElement('button', { class: 'veil', part: 'refresh', type: 'button' })
    this.#number = createElement('strong', {})
    this.#match = createElement('p', { class: 'match', part: 'match' }, createElement('span', {}), this.#number)
    this.#marks = createElement('span', { class: 'marks' })
    this.#text = createElement('span', {})
    this.#spoken = createElement('p', { class: 'spoken', role: 'status', 'aria-live': 'polite' })
    this.#status = createElement('p', { class: 'status', part: 'status', role: 'status', 'aria-live': 'polite' }, this.#marks, this.#text)
    this.#open = createElement('a', { class: 'button', part: 'open', rel: 'noopener' })
    this.#open.addEventListener('click', () => login.keepTicket())
    this.#hint = createElement('p', { class: 'hint', part: 'hint' })
    this.#time = createElement('p', { class: 'time', part: 'time', role: 'timer', 'aria-live': 'off' })
    this.#retry = createElement('p', { class: 'hint', part: 'time', role: 'timer', 'aria-live': 'off' })
    this.#button = createElement('button', { class: 'button', part: 'button', type: 'button' })
    this.#logo = createElement('img', { class: 'logo', part: 'logo', alt: '', hidden: '' })
    this.#frame = createElement('div', { class: 'frame', part: 'ring' },
      createElement('div', { class: 'tile', part: 'tile' }, this.#code, this.#user, this.#sign, this.#spinner, this.#veil), this.#time)
    this.#turnRing = createRing(this.#frame)
    watchCode(this.#code, login.fail)
    this.#living = new LivingCode(this.#code, (frame) => {
      this.#codeFrame = frame
      setLaunchLink(this.#open, withFrame(this.#snapshot.launchUrl, frame))
    }, login.fail)
    this.#card = createElement('div', { class: 'card', part: 'card', role: 'group', 'aria-labelledby': 'title', tabindex: '-1' },
      createElement('div', { class: 'title', part: 'title', id: 'title' }, this.#logo, this.#title),
      this.#frame,
      this.#match, this.#spoken, this.#status, this.#hint, this.#open, this.#retry, this.#button, createElement('slot', { name: 'footer' }))
    root.replaceChildren(this.#card)
    addStyle(root)
    for (const button of [this.#veil, this.#button]) {
      button.addEventListener('click', () => {
        this.#card.focus() // the button disappears, and would take the keyboard focus with it
        login.refresh()
      })
    }
  }

  /** @param {Messages} messages @param {string} language */
  setLanguage(messages, language) {
    this.#messages = messages
    this.#card.lang = language
    this.#card.dir = messages.dir
    this.show(this.#snapshot)
  }

  /** @param {Snapshot} snapshot */
  show(snapshot) {
    const { state, qrImage, matchCode, user } = this.#snapshot = snapshot
    const messages = { ...this.#messages, ...snapshot.branding?.texts?.[this.#card.lang] }
    this.#card.dataset.state = state
    if (snapshot.qrImage) showBranding(this.#card, this.#logo, snapshot.branding, qrImage)
    setText(this.#title, messages.title)
    this.#code.alt = messages.alt
    if (qrImage && !this.#ticket()?.frame_key && this.#code.getAttribute('src') !== qrImage) this.#code.src = qrImage
    const launch = state === 'pending' ? launchKey(snapshot) : ''
    const codeless = state === 'pending' && isCodeless(snapshot)
    this.#card.classList.toggle('here', Boolean(launch) || codeless)
    this.#open.hidden = !launch
    setLaunchLink(this.#open, withFrame(snapshot.launchUrl, this.#codeFrame))
    setText(this.#open, textFor(messages.open, launch) ?? '')
    this.#code.hidden = !['pending', 'expired'].includes(state)
    this.#spinner.hidden = state !== 'making'
    const closed = state === 'confirmed' || state === 'consumed'
    if (!closed || user) {
      this.#shownName = cleanName(user?.nickname)
      this.#shownPicture = pictureOf(snapshot)
    }
    const name = this.#shownName || messages.someone
    this.#user.hidden = state !== 'scanned' && !(closed && this.#shownName)
    showPicture(this.#picture, this.#shownPicture)
    setText(this.#initial, initialOf(name))
    setText(this.#name, name)
    setText(this.#note, state === 'scanned' ? messages.hasScanned : '')
    this.#sign.style.display = this.#user.hidden && (closed || ['rejected', 'error'].includes(state)) ? '' : 'none'
    this.#veil.hidden = state !== 'expired'
    setText(this.#veil, messages.refresh)
    this.#match.hidden = !matchCode || !['pending', 'scanned'].includes(state)
    setText(/** @type {HTMLElement} */ (this.#match.firstChild), messages.match)
    setText(this.#number, matchCode ?? '')
    const apps = (state === 'pending' && !launch && snapshot.scanWith || []).filter((kind) => appName(kind, messages))
    const marked = apps.filter((kind, i) => apps.findIndex((other) => appName(other, messages) === appName(kind, messages)) === i)
    this.#marks.replaceChildren(...marked.map((kind) => createMark(kind, '')))
    const scan = apps.length ? fillApps(messages, apps.map((kind) => appName(kind, messages))) : ''
    const rejected = state === 'rejected' && textFor(messages.rejectedBy, snapshot.reason)
    setText(this.#text, launch ? messages.here : codeless ? messages.errors.login_disabled : scan || rejected || (this.#user.hidden || !closed ? messages[state] : messages.loggedInAs.replace('{name}', () => name)))
    const hintText = hint(snapshot, messages, this.#client())
    setText(this.#hint, hintText)
    const note = snapshot.live === false || state === 'error' ? hintText : state === 'scanned' ? `${name} ${messages.hasScanned}${matchCode ? `. ${messages.match}: ${matchCode}` : ''}` : ''
    setText(this.#spoken, note)
    const action = { scanned: messages.notMe, rejected: messages.again, error: messages.retry }[/** @type {string} */ (state)]
    this.#button.hidden = !action
    setText(this.#button, action ?? '')
  }

  /** @param {number} left @param {number} retry seconds, 0 for none */
  tick(left, retry) {
    const { state } = this.#snapshot
    const time = `${Math.floor(left / 60)}:${String(left % 60).padStart(2, '0')}`
    const waiting = ['pending', 'scanned'].includes(state) && left > 0 && !isCodeless(this.#snapshot)
    this.#turnRing(state, left)
    fitCode(this.#code)
    this.#living.update(this.#ticket(), left)
    setText(this.#time, waiting ? this.#messages.left.replace('{time}', time) : '')
    setText(this.#retry, state === 'error' && retry ? this.#messages.retryIn.replace('{n}', String(retry)) : '')
  }
}

/**
 * A constructed style sheet needs no entry in the site's policy. Browsers without them, such as Safari
 * before 16.4, get an element.
 *
 * @param {ShadowRoot} root
 */
function addStyle(root) {
  try {
    const sheet = new CSSStyleSheet()
    sheet.replaceSync(style)
    if (!('adoptedStyleSheets' in root)) throw new Error('not supported')
    root.adoptedStyleSheets = [sheet]
  } catch {
    root.append(createElement('style', {}, document.createTextNode(style)))
  }
}

/** @param {Snapshot} snapshot @param {Messages} messages @param {string | null} client */
function hint({ state, live, error, user }, messages, client) {
  if (live === false && ['pending', 'scanned', 'confirmed'].includes(state)) return messages.offline
  if (state === 'scanned') return user?.verified ? '' : messages.claimed
  if (error?.code === 'origin_not_allowed') return `${messages.errors.origin_not_allowed}\n${clientsEntry(client)}`
  if (state !== 'error') return ''
  const text = errorText(messages.errors, error)
  // The site's page has sent something wrong, such as a client that the hub does not know.
  const more = error?.code === 'invalid_request' ? error.detail : requestLine(error ?? {}, messages)
  return more ? `${text}\n${more}` : text
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
