import { createLogin } from '../client/login.js'
import { createKey } from '../client/tokenkey.js'
import { isPhone } from '../client/widget/hints.js'
import { pictureOf } from '../client/widget/picture.js'
import { setUpLanguage } from './i18n.js'
import { createRedirects } from './redirects.js'
import { showResult } from './result.js'
import { verifyToken } from './verify.js'
import { createView } from './view.js'

const { client, issuer, labelZh, labelEn, sandbox } = document.body.dataset
const boot = globalThis.loginhub // of boot.js
const { nonce } = boot
const request = document.querySelector('meta[name="loginhub-request"]')?.content // of a site that logs in with OpenID Connect
const $ = (id) => document.getElementById(id)

const inApp = $('in-app') // inside an app that can log in by itself

let messages, language, login
let snapshot = { state: 'making' }
let verification // of the token, once there is one
let retryAt
let remembered // the ticket of the last call of remember

const view = createView((error) => login.fail(error))
const redirects = createRedirects(() => login?.ticket)
setUpLanguage(['login', 'page'], $('language'), (chosenMessages, chosenLanguage) => {
  messages = chosenMessages
  language = chosenLanguage
  render()
})

login = createLogin({
  ...request ? { request } : { clientId: client, nonce },
  fetch: takeTicket,
  createKey: takeKey,
  onState(next) {
    snapshot = next
    retryAt = next.retryIn && performance.now() + next.retryIn * 1000
    if (next.state === 'making') verification = undefined
    // Another page with this ticket's secret got the token. This page needs a new code.
    if (next.state === 'consumed' && !verification && !request) snapshot = { ...next, state: 'expired' }
    render()
    if (next.state === 'pending') enterApp()
    if (next.state === 'confirmed') remember()
  },
  async onToken(token, { code }) {
    const picture = pictureOf(snapshot) // the view after the acknowledgement has no user
    verification = code ? { result: 'unverified', reason: 'code', header: {}, claims: {}, picture }
      : { ...await verifyToken(token, { iss: issuer, aud: client, nonce }), picture }
    render()
    $('result').focus()
  },
})
inApp?.addEventListener('submit', () => {
  login.keepTicket()
  inApp.elements.ticket.value = login.ticket.ticket
  inApp.elements.secret.value = login.ticket.secret
})
setInterval(tick, 250)
document.addEventListener('visibilitychange', tick) // a hidden tab's timers are slow
boot.started = true
for (const id of ['renew', 'not-me', 'again', 'retry', 'not-me-done']) {
  $(id).addEventListener('click', () => login.refresh())
}
for (const id of ['open', 'phone']) $(id)?.addEventListener('click', () => login.keepTicket())

// The first request is that for a ticket. boot.js has sent it. The hub's own page has cookies.
function takeTicket(url, options) {
  const { ticket = fetch(url, { ...options, credentials: 'same-origin' }) } = boot
  boot.ticket = undefined
  return ticket
}

// The first request has the key that boot.js has made.
function takeKey(subtle) {
  return boot.ticket ? boot.key : createKey(subtle)
}

// Has the browser keep who has logged in with it, if the hub asks for that. The page may be left before the answer.
function remember() {
  const { ticket, secret, remember: asked } = login.ticket
  if (!asked || ticket === remembered) return
  remembered = ticket
  const headers = { Authorization: `Bearer ${secret}` }
  fetch(`/api/login/tickets/${ticket}/remember`, { method: 'POST', headers, keepalive: true, credentials: 'same-origin' })
    .catch(() => {}) // the next login asks for a number again
}

// The browser goes to the app's own login and from there to the site, once. A user who comes back presses the button.
function enterApp() {
  if (!inApp?.hidden) return
  inApp.hidden = false
  inApp.querySelector('button').click()
}

function render() {
  const site = language.startsWith('zh') ? labelZh : labelEn
  const path = snapshot.qrUrl && new URL(snapshot.qrUrl).pathname
  const frame = login?.ticket?.frame_key ? '?f={frame}' : '' // of a living code
  const state = verification ? 'done' : snapshot.state
  redirects.show(state, snapshot, messages)
  // On a phone that shows a site's login its own camera cannot read the code: it opens the code's link.
  const here = request && isPhone(navigator.userAgent) && !/MicroMessenger/i.test(navigator.userAgent)
  view.show({
    ...snapshot, site, state, messages, inApp: Boolean(inApp),
    qrImage: frame ? undefined : snapshot.qrImage,
    launchUrl: snapshot.launchUrl || (here ? snapshot.qrUrl + frame : undefined),
    phone: sandbox && path ? `${path}?lang=${document.documentElement.lang}${frame.replace('?', '&')}` : '',
  })
  if (verification) showResult(verification, { user: snapshot.user, site, messages })
  tick()
}

function tick() {
  view.tick(messages, {
    remaining: login?.remaining ?? 0,
    ticket: login?.ticket,
    retry: retryAt && Math.max(0, Math.ceil((retryAt - performance.now()) / 1000)),
  })
}
