const SVG = 'http://www.w3.org/2000/svg'
const OUTLINE = 'M50 1.5H87A11.5 11.5 0 0 1 98.5 13V87A11.5 11.5 0 0 1 87 98.5H13A11.5 11.5 0 0 1 1.5 87V13A11.5 11.5 0 0 1 13 1.5z'
const STEPS = 4 // a second: a stroke that moves at every frame would cost more
const DRIFT = 2000 // ms, above which the ring is set again: `left` is in whole seconds

/**
 * Returns an SVG element. Its attributes are no styles, so every policy allows them.
 *
 * @param {string} tag
 * @param {Record<string, string>} attributes
 * @param {Element[]} children
 */
export function createSVG(tag, attributes, ...children) {
  const element = /** @type {SVGElement} */ (document.createElementNS(SVG, tag))
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value)
  element.append(...children)
  return element
}

/** A drawn tick, on a disc. */
export const createTick = () => createSVG('svg', { class: 'tick', viewBox: '0 0 24 24', 'aria-hidden': 'true' },
  createSVG('path', { d: 'M6 12.6l4 4 8-8.4', pathLength: '1' }))

/**
 * Puts a ring around `place` that shows how much of a state's time is left. The style sheet moves it,
 * by the custom properties `--total`, `--gone` and `--steps`. Returns a function to call at every
 * change, and as often as wanted.
 *
 * @param {Element} place
 */
export function createRing(place) {
  const outline = () => createSVG('path', { class: 'arc', d: OUTLINE, pathLength: '100' })
  const ring = createSVG('svg', { class: 'ring', viewBox: '0 0 100 100', preserveAspectRatio: 'none', 'aria-hidden': 'true' },
    createSVG('path', { class: 'track', d: OUTLINE }), outline())
  place.append(ring)
  let shown = ''
  let deadline = 0
  let total = 0
  /** @param {string} state @param {number} left seconds */
  return (state, left) => {
    const end = performance.now() + left * 1000
    if (state === shown && Math.abs(end - deadline) < DRIFT) return
    total = state === shown ? Math.max(total, left) : left
    shown = state
    deadline = end
    ring.style.setProperty('--total', `${total}s`)
    ring.style.setProperty('--gone', `${left - total}s`)
    ring.style.setProperty('--steps', String(Math.max(1, total * STEPS)))
    ring.lastElementChild?.replaceWith(outline()) // a new element starts its animation at its beginning
  }
}
