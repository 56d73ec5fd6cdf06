import { Problem } from '../ticket.js'
import { fitCode } from './code.js'

/** @import { Ticket } from '../internal.js' */

/** Milliseconds between two drawings, also if a timer is late: below three a second (WCAG 2.2, 2.3.1). */
const MIN_PAUSE = 500

/** The drawing is tried again so often: a part of it may not load at once. */
const RETRIES = 2

/** The placeholder of the frame in a ticket's `launch_url`. */
const FRAME = '{frame}'

/**
 * Returns the number of the frame to draw now. The age of the ticket is by the hub's last view, so that
 * a computer that has slept, or whose clock was set, is right again at the next one. A reader who
 * prefers reduced motion gets another code only as often as half of the window demands.
 *
 * @param {Ticket} ticket
 * @param {number} remaining seconds that the ticket has left
 */
export function frameNumber({ expires_in: life = 0, frame_step: step = 1, frame_window: window = 0 }, remaining) {
  const slow = matchMedia('(prefers-reduced-motion: reduce)').matches
  const every = slow ? Math.max(step, Math.floor(window / 2)) : step
  return Math.floor(Math.floor(Math.max(0, life - remaining) / every) * every / step)
}

/**
 * The link that the code holds now, for a page that draws the code itself.
 *
 * @param {Ticket} ticket
 * @param {number} remaining
 */
export async function livingURL(ticket, remaining) {
  const { createFrame } = await import('./drawcode.js')
  return `${ticket.qr_url}?f=${await createFrame(ticket.frame_key ?? '', frameNumber(ticket, remaining))}`
}

/** Draws the living code of a ticket in place of the hub's image. An ordinary ticket keeps the image. */
export class LivingCode {
  #img; #onFrame; #onError
  /** @type {HTMLCanvasElement=} */
  #canvas
  /** @type {Ticket=} */
  #ticket
  #number = -1
  #failures = 0
  #drawnAt = -MIN_PAUSE

  /**
   * @param {HTMLImageElement} img in its place a canvas is shown
   * @param {(frame: string) => void} onFrame called with each frame, '' while a new ticket has none yet
   * @param {(error: Problem) => void} onError called if the code cannot be drawn: without WebCrypto, or
   *   because the site's policy forbids a part of it
   */
  constructor(img, onFrame = () => {}, onError = (error) => { throw error }) {
    this.#img = img
    this.#onFrame = onFrame
    this.#onError = onError
  }

  /**
   * Call it several times a second, and when the page becomes visible.
   *
   * @param {Ticket | undefined} ticket of the login
   * @param {number} remaining seconds that the ticket has left
   */
  update(ticket, remaining) {
    const living = Boolean(ticket?.frame_key)
    if (!living && !this.#canvas) return
    const canvas = this.#canvas ??= createCanvas(this.#img)
    this.#img.style.display = living ? 'none' : ''
    canvas.hidden = !living || this.#img.hidden
    if (!ticket || canvas.hidden) return
    const { alt } = this.#img
    if (canvas.getAttribute('aria-label') !== alt) canvas.setAttribute('aria-label', alt)
    fitCode(canvas)
    if (ticket !== this.#ticket) this.#onFrame('') // that of the former ticket is worth nothing
    const number = frameNumber(ticket, remaining)
    if (ticket === this.#ticket && number === this.#number || performance.now() - this.#drawnAt < MIN_PAUSE) return
    this.#ticket = ticket
    this.#number = number
    this.#draw(canvas, ticket, number).catch((err) => this.#failed(err))
  }

  /** @param {HTMLCanvasElement} canvas @param {Ticket} ticket @param {number} number */
  async #draw(canvas, ticket, number) {
    const { createFrame, drawCode } = await import('./drawcode.js')
    const frame = await createFrame(ticket.frame_key ?? '', number)
    if (ticket !== this.#ticket || number !== this.#number) return
    this.#drawnAt = performance.now()
    drawCode(canvas, `${ticket.qr_url}?f=${frame}`)
    fitCode(canvas)
    this.#failures = 0
    this.#onFrame(frame)
  }

  /** @param {unknown} err */
  #failed(err) {
    const able = globalThis.crypto?.subtle
    this.#number = -1 // drawn again by the next update
    this.#drawnAt = performance.now()
    if (able && this.#failures++ < RETRIES) return
    this.#failures = 0
    this.#onError(able ? new Problem('code_not_drawn', 0, String(err)) : new Problem('webcrypto_missing'))
  }
}

/**
 * Puts a canvas beside the image. Its name stays, so that a screen reader does not read each frame.
 *
 * @param {HTMLImageElement} img
 */
function createCanvas(img) {
  const canvas = document.createElement('canvas')
  canvas.className = img.className
  canvas.setAttribute('role', 'img')
  if (img.hasAttribute('part')) canvas.setAttribute('part', img.getAttribute('part') ?? '')
  canvas.style.imageRendering = 'pixelated'
  img.after(canvas)
  return canvas
}

/**
 * Returns a link of an app with the current frame.
 *
 * @param {string=} link
 * @param {string=} frame
 */
export const withFrame = (link, frame = '') => link?.replace(FRAME, frame)
