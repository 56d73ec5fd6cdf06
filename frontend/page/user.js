import { cleanName, initialOf } from '../client/widget/names.js'
import { createPicture, showPicture } from '../client/widget/picture.js'
import { createTick } from '../client/widget/ring.js'

/**
 * Shows a user's name in an element, with the picture (see pictureOf) or the name's first letter, and with a tick that
 * the style sheet draws at a success.
 */
export function showUser(element, user, someone, src) {
  const name = cleanName(user?.nickname) || someone
  if (element.dataset.user === name + src) return
  element.dataset.user = name + src
  const label = document.createElement('span')
  label.className = 'name'
  label.textContent = name
  element.replaceChildren(avatar(name, src), label)
}

function avatar(name, src) {
  const circle = document.createElement('span')
  circle.className = 'avatar'
  circle.setAttribute('aria-hidden', 'true')
  const picture = createPicture()
  showPicture(picture, src)
  circle.append(initialOf(name), picture, createTick())
  return circle
}
