import { cleanName, initialOf } from '../client/widget/names.js'
import { createTick } from '../client/widget/ring.js'

/**
 * Shows a user's first letter and name in an element, with a tick that the style sheet draws at a success. The avatar is not loaded: the phone chose its
 * URL, and that server would learn this computer's address and the time of the login.
 */
export function showUser(element, user, someone) {
  const name = cleanName(user?.nickname) || someone
  if (element.dataset.user === name) return
  element.dataset.user = name
  const label = document.createElement('span')
  label.className = 'name'
  label.textContent = name
  element.replaceChildren(avatar(name), label)
}

function avatar(name) {
  const circle = document.createElement('span')
  circle.className = 'avatar'
  circle.setAttribute('aria-hidden', 'true')
  circle.append(initialOf(name), createTick())
  return circle
}
