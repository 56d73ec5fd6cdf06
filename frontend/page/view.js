import { createMark, fillApps } from '../client/widget/apps.js'
import { fitCode, watchCode } from '../client/widget/code.js'
import { clientsEntry, errorText, isCodeless, launchKey, requestLine, setLaunchLink, textFor } from '../client/widget/hints.js'
import { LivingCode, withFrame } from '../client/widget/livingcode.js'
import { pictureOf } from '../client/widget/picture.js'
import { createRing } from '../client/widget/ring.js'
import { fill } from './i18n.js'
import { scanningApps } from './redirects.js'
import { showUser } from './user.js'

const $ = (id) => document.getElementById(id)

/**
 * Shows a login: `show` is called at every change, `tick` a few times a second. `fail` is called with the
 * Problem of a code that cannot be drawn.
 */
export function createView(fail) {
  let current = {}
  let frame // of the living code
  const living = new LivingCode($('qr'), (next) => {
    frame = next
    showLinks(current, frame)
  }, fail)
  const turnRing = createRing($('frame'))
  watchCode($('qr'), fail)
  return {
    show(next) {
      show(next, current)
      showLinks(next, frame)
      current = next
    },
    tick(messages, { remaining, retry, ticket }) {
      turnRing(current.state, remaining)
      fitCode($('qr'))
      living.update(ticket, remaining)
      const time = `${Math.floor(remaining / 60)}:${String(remaining % 60).padStart(2, '0')}`
      setText($('time'), remaining ? fill(messages.left, { time }) : '')
      if (current.state === 'error') setText($('time'), '')
      if (current.state === 'error' && current.error) setText($('hint'), errorHint(current, messages, retry))
    },
  }
}

function show(snapshot, previous) {
  const { state, messages, site, qrImage, matchCode, user, inApp } = snapshot
  const login = $('login')
  login.dataset.state = state
  const parts = new Set([state])
  const codeless = state === 'pending' && isCodeless(snapshot)
  const launch = codeless ? 'web' : state === 'pending' ? launchKey(snapshot) : ''
  const apps = state === 'pending' && !launch && !inApp ? scanningApps(snapshot.scanWith, messages) : []
  login.classList.toggle('here', Boolean(launch || inApp))
  $('open').hidden = !launch || codeless || inApp
  login.classList.toggle('codeless', isCodeless(snapshot))
  setText($('open'), messages.open[launch] ?? '')
  if (apps.length) parts.add('with')
  $('marks').replaceChildren(...apps.map((app) => createMark(...app)))
  setText($('with-text'), fillApps(messages, apps.map(([, name]) => name)))
  if (matchCode && (state === 'pending' || state === 'scanned')) parts.add('match')
  for (const element of document.querySelectorAll('[data-when]')) {
    element.hidden = !element.dataset.when.split(' ').some((part) => parts.has(part))
  }
  for (const element of document.querySelectorAll('[data-not]')) element.hidden = element.dataset.not === state
  document.title = fill(messages.title, { site })
  document.querySelector('[data-site]').textContent = site
  $('qr').alt = messages.alt
  if (qrImage && $('qr').getAttribute('src') !== qrImage) $('qr').src = qrImage
  $('match').textContent = matchCode ?? ''
  if (state === 'scanned' || state === 'confirmed') showUser($('face'), user, messages.someone, pictureOf(snapshot))
  setText($('spoken'), spoken(snapshot, previous))
  setText($('status'), messages.pendingHere[launch] ?? status(snapshot))
  $('status').lang = document.documentElement.lang
  setText($('hint'), hint(snapshot))
}

// The links into an app on this phone, and to the sandbox's phone.
function showLinks({ launchUrl, phone }, frame) {
  setLaunchLink($('open'), withFrame(launchUrl, frame))
  if (phone && $('phone')) $('phone').href = withFrame(phone, frame)
}

function status({ state, messages, error, reason, user }) {
  if (state === 'error') return errorText(messages.errors, error)[0]
  if (state === 'rejected') return textFor(messages.rejectedBy, reason) ?? messages.rejected
  if (state === 'confirmed' && user?.nickname) return fill(messages.loggedInAs, { name: user.nickname })
  return state === 'done' ? '' : messages[state] ?? ''
}

// Returns what a screen reader reads beside the status: who scanned, what to do, that the connection is lost and
// that it is back.
function spoken({ state, messages, live, error, user, matchCode }, previous) {
  if (state === 'error') return errorText(messages.errors, error)[1]
  if (isLost(state, live)) return messages.offline
  if (state === 'scanned') return `${user?.nickname || messages.someone} ${messages.hasScanned}${matchCode ? `. ${messages.match}: ${matchCode}` : ''}`
  return state === previous.state && $('spoken').textContent ? messages[state] : ''
}

const isLost = (state, live) => live === false && ['pending', 'scanned', 'confirmed'].includes(state)

function hint({ state, messages, live, site, user }) {
  if (isLost(state, live)) return messages.offline
  if (state === 'scanned') return `${user?.verified ? '' : `${messages.claimed}\n`}${fill(messages.check, { site })}`
  if (state === 'confirmed') return fill(messages.next, { site: document.body.dataset.host || site })
  if (state === 'rejected') return messages.rejectedHint
  return ''
}

function errorHint({ error }, messages, retry) {
  const [, hintText] = errorText(messages.errors, error)
  const parts = [hintText]
  if (error.code === 'origin_not_allowed') parts.push(clientsEntry(document.body.dataset.client))
  else if (error.detail && error.code !== 'network') parts.push(requestLine(error, messages) || `${error.detail} (${error.code})`)
  if (retry) parts.push(fill(messages.retryIn, { n: retry }))
  return parts.join('\n')
}

// Sets a text, unless it is the same: a screen reader reads a live region again at every write.
function setText(element, text) {
  if (element.textContent !== text) element.textContent = text
}
