import { createLogin } from '../client/login.js'
import { showResult } from './result.js'
import { speak } from './i18n.js'
import { verifyToken } from './verify.js'
import { createView } from './view.js'
import { wechat } from './wechat.js'
import { words } from './words.js'

const { client, issuer, labelZh, labelEn, sandbox } = document.body.dataset
const nonce = Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, '0')).join('')
const $ = (id) => document.getElementById(id)

let said, language, login
let snapshot = { state: 'making' }
let outcome // what came of the token, once there is one
let retryAt

const view = createView()
const ways = wechat(() => login?.ticket)
speak(words, $('language'), (texts, chosen) => {
  said = texts
  language = chosen
  render()
})

login = createLogin({
  clientId: client,
  nonce,
  onState(next) {
    snapshot = next
    retryAt = next.retryIn && performance.now() + next.retryIn * 1000
    if (next.state === 'making') outcome = undefined
    // The token went to another holder of this ticket: for this page the code is spent.
    if (next.state === 'consumed' && !outcome) snapshot = { ...next, state: 'expired' }
    render()
  },
  async onToken(token) {
    outcome = await verifyToken(token, { iss: issuer, aud: client, nonce })
    render()
    $('result').focus()
  },
})
setInterval(tick, 250)
for (const id of ['renew', 'not-me', 'again', 'retry', 'not-me-done']) {
  $(id).addEventListener('click', () => login.refresh())
}

function render() {
  const site = language === 'en' ? labelEn : labelZh
  const path = snapshot.qrUrl && new URL(snapshot.qrUrl).pathname
  const state = outcome ? 'done' : snapshot.state
  const here = ways.show(state)
  view.show({
    ...snapshot, site, state,
    said: here ? { ...said, pending: said.pendingHere } : said,
    phone: sandbox && path ? `${path}?lang=${document.documentElement.lang}` : '',
  })
  if (outcome) showResult(outcome, snapshot.user, said)
  tick()
}

function tick() {
  view.tick(said, {
    remaining: login?.remaining ?? 0,
    retry: retryAt && Math.max(0, Math.ceil((retryAt - performance.now()) / 1000)),
  })
}
