/** @import { Snapshot } from '../types.js' */

/**
 * Returns the URL of the user's picture, '' if it is not to be loaded. A picture that the phone names is not: its
 * server would learn this computer's address and the time of the login.
 *
 * @param {Snapshot} snapshot
 */
export function pictureOf({ user, pictureHosts = [] }) {
  if (!user?.verified || !user.avatar_url) return ''
  try {
    const { protocol, host, href } = new URL(user.avatar_url)
    const known = pictureHosts.some((name) => name === host || (name.startsWith('*.') && host.endsWith(name.slice(1))))
    return protocol === 'https:' && known ? href : ''
  } catch {
    return ''
  }
}

/** Returns an element for a user's picture, over the initial. It is hidden until a picture has loaded. */
export function createPicture() {
  const picture = Object.assign(document.createElement('img'), { className: 'picture', alt: '', referrerPolicy: 'no-referrer', hidden: true })
  picture.addEventListener('load', () => { picture.hidden = false })
  return picture
}

/** @param {HTMLImageElement} picture @param {string} src '' for none */
export function showPicture(picture, src) {
  if ((picture.getAttribute('src') ?? '') === src) return
  picture.hidden = true
  if (src) picture.src = src
  else picture.removeAttribute('src')
}
