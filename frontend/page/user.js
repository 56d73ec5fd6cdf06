/** Puts a user's picture, or else the first letter of the name, and the name into an element. */
export function paintUser(element, user, someone) {
  const name = user?.nickname || someone
  const key = JSON.stringify([name, user?.avatar_url])
  if (element.dataset.user === key) return
  element.dataset.user = key
  const label = document.createElement('span')
  label.className = 'name'
  label.textContent = name
  element.replaceChildren(avatar(name, user?.avatar_url), label)
}

function avatar(name, url) {
  const circle = document.createElement('span')
  circle.className = 'avatar'
  circle.setAttribute('aria-hidden', 'true')
  circle.textContent = [...name][0].toUpperCase()
  if (!url?.startsWith('https://')) return circle
  const picture = new Image()
  // Its server was named by the phone: it learns no address of the page, and may be down.
  picture.referrerPolicy = 'no-referrer'
  picture.alt = ''
  picture.addEventListener('load', () => circle.replaceChildren(picture))
  picture.src = url
  return circle
}
