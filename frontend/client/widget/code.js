const LARGEST = 185 // modules of a QR code of version 40, with its quiet zone

/**
 * Keeps the code in an image sharp: a module is a whole number of the screen's pixels, at every zoom.
 * The image of a code is one pixel for each module; a larger one is a picture and fills its place, the
 * parent element.
 *
 * @param {HTMLImageElement} img
 */
export function fitCode(img) {
  const place = /** @type {HTMLElement} */ (img.parentElement)
  const fit = () => {
    const { naturalWidth: modules } = img
    const { clientWidth: room } = place
    if (!modules || !room) return
    const pixels = modules > LARGEST ? 0 : Math.floor(room * devicePixelRatio / modules)
    const edge = pixels ? pixels * modules / devicePixelRatio : room
    img.style.width = img.style.height = `${edge}px`
  }
  img.addEventListener('load', fit)
  const observer = new ResizeObserver(fit)
  try {
    observer.observe(place, { box: 'device-pixel-content-box' }) // also reports a zoom
  } catch { // Safari has no such box
    observer.observe(place)
  }
}
