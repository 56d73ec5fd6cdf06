import { Problem } from '../ticket.js'

const LARGEST = 185 // modules of a QR code of version 40, with its quiet zone
const RETRIES = 2 // a node may just be restarting
const RETRY_PAUSE = 1000 // ms

/**
 * Loads the image of the code again if it fails, and calls `onError` if it keeps failing: the site's policy may
 * forbid it.
 *
 * @param {HTMLImageElement} img
 * @param {(error: Problem) => void} onError
 */
export function watchCode(img, onError) {
  let failures = 0
  img.addEventListener('load', () => {
    failures = 0
    fitCode(img)
  })
  img.addEventListener('error', () => {
    const { src } = img
    if (failures++ < RETRIES) return void setTimeout(() => { if (img.src === src) img.src = src }, RETRY_PAUSE)
    failures = 0
    onError(new Problem('code_not_drawn', 0, 'The image of the code does not load.'))
  })
}

/**
 * Keeps the code in an image sharp: a module is a whole number of the screen's pixels, and the image begins
 * at a whole pixel. Call it when the image has loaded (watchCode does), and again as the page may have been zoomed or laid
 * out in another way. The image of a code is one pixel for each module; a larger one is a picture and fills
 * its parent element.
 *
 * @param {HTMLImageElement | HTMLCanvasElement} img
 */
export function fitCode(img) {
  const { style } = img
  const modules = 'naturalWidth' in img ? img.naturalWidth : img.width
  const room = img.parentElement?.clientWidth
  if (!modules || !room) return
  const scale = devicePixelRatio
  const pixels = modules > LARGEST ? 0 : Math.floor(room * scale / modules)
  const edge = `${pixels ? pixels * modules / scale : room}px`
  if (style.width !== edge) style.width = style.height = edge
  const { left, top } = img.getBoundingClientRect()
  /** @type {[string, number][]} */
  const places = [['left', left], ['top', top]]
  for (const [side, at] of places) {
    const shift = parseFloat(style.getPropertyValue(side)) || 0
    const wanted = Math.round((at - shift) * scale) / scale - (at - shift)
    if (Math.abs(wanted - shift) > .01) style.setProperty(side, `${wanted}px`)
  }
}
