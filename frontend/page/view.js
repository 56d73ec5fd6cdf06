import { fill } from './i18n.js'
import { paintUser } from './user.js'

const $ = (id) => document.getElementById(id)

/** Shows a snapshot of the login: `show` at every change, `tick` a few times a second. */
export function createView() {
  let shown = {}
  let longest = 1 // the most seconds that this state has had: the bar's full length
  return {
    show(next) {
      if (next.state !== shown.state || next.qrImage !== shown.qrImage) longest = 1
      shown = next
      show(next)
    },
    tick(said, { remaining, retry }) {
      longest = Math.max(longest, remaining)
      $('bar').style.transform = `scaleX(${remaining / longest})`
      const time = `${Math.floor(remaining / 60)}:${String(remaining % 60).padStart(2, '0')}`
      write($('time'), remaining ? fill(said.left, { time }) : '')
      if (shown.state === 'error') write($('time'), '')
      if (shown.state === 'error' && shown.error) write($('hint'), errorHint(shown, said, retry))
    },
  }
}

function show({ state, said, site, qrImage, matchCode, user, phone, live, error }) {
  const login = $('login')
  login.dataset.state = state
  const parts = new Set([state])
  if (matchCode && (state === 'pending' || state === 'scanned')) parts.add('match')
  for (const element of document.querySelectorAll('[data-when]')) {
    element.hidden = !element.dataset.when.split(' ').some((part) => parts.has(part))
  }
  for (const element of document.querySelectorAll('[data-not]')) element.hidden = element.dataset.not === state
  document.title = fill(said.title, { site })
  document.querySelector('[data-site]').textContent = site
  $('qr').alt = said.qrAlt
  if (qrImage) draw($('qr'), qrImage)
  $('match').textContent = matchCode ?? ''
  if (phone && $('phone')) $('phone').href = phone
  if (state === 'scanned' || state === 'confirmed') paintUser($('face'), user, said.someone)
  write($('status'), status(state, said, error))
  $('status').lang = document.documentElement.lang
  write($('hint'), hint(state, said, live))
}

const TILE = 262

// A code whose modules are whole pixels is crisp; the picture's own size counts the modules.
function draw(qr, src) {
  if (qr.getAttribute('src') === src) return
  qr.onload = () => {
    const modules = qr.naturalWidth
    qr.width = qr.height = modules < TILE / 2 ? TILE - TILE % modules : TILE
  }
  qr.src = src
}

function status(state, said, error) {
  if (state === 'error') return errorWords(said, error)[0]
  return state === 'done' ? '' : said[state] ?? ''
}

function hint(state, said, live) {
  if (live === false && (state === 'pending' || state === 'scanned' || state === 'confirmed')) return said.offline
  if (state === 'scanned') return said.claimed
  if (state === 'rejected') return said.rejectedHint
  return ''
}

function errorHint({ error }, said, retry) {
  const [, todo] = errorWords(said, error)
  const parts = [todo]
  if (error.detail && error.code !== 'network') parts.push(`${error.detail} (${error.code})`)
  if (retry) parts.push(fill(said.retryIn, { n: retry }))
  return parts.join('\n')
}

function errorWords(said, error) {
  return said.errors[error?.code] ?? (error?.foreign ? said.errors.network : said.errors.unknown)
}

// A live region speaks whenever it is written to, so the same text is not written twice.
function write(element, text) {
  if (element.textContent !== text) element.textContent = text
}
