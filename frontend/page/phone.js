import { elapsed, readClocks } from '../client/elapsed.js'
import { textFor } from '../client/widget/hints.js'
import { fill, formatDate, setUpLanguage } from './i18n.js'
import { cleanName, createPhone } from './phone-api.js'
import { assessRisk } from './risk.js'

const $ = (id) => document.getElementById(id)
const NAME_KEY = 'loginhub.sandbox.name'
const RETRY_SCREENS = ['busy', 'trouble', 'timeout', 'offline']
const BACK_SCREENS = ['taken', 'refused']

const CLOCKS = { clock: performance }
const phone = createPhone({ ticket: document.body.dataset.ticket, frame: new URLSearchParams(location.search).get('f') ?? undefined })
let messages
let current = { screen: 'name' } // the answer on the screen
let lastCall // repeated by a retry
let shownAt // when the consent arrived, by both clocks: one stops while the phone sleeps

setUpLanguage(['phone'], $('language'), (chosenMessages) => {
  const untouched = !messages || $('name').value === messages.defaultName
  messages = chosenMessages
  if (untouched) $('name').value = storedName() ?? messages.defaultName
  render()
})

$('name').addEventListener('input', renderName)
$('name-form').addEventListener('submit', (event) => {
  event.preventDefault()
  storeName(name())
  run(() => phone.scan(name()))
})
$('confirm').addEventListener('click', () => run(() => phone.confirm(name(), chosen())))
$('reject').addEventListener('click', () => run(() => phone.reject(name())))
$('retry').addEventListener('click', () => run(lastCall))
$('back').addEventListener('click', () => show({ screen: 'name' }))
$('numbers').addEventListener('change', renderConfirm)
setInterval(renderLeft, 250)
globalThis.loginhub.started = true // for boot.js

async function run(call) {
  lastCall = call
  setBusy(true)
  const answer = await call()
  setBusy(false)
  show(answer)
}

function setBusy(now) {
  $('phone').setAttribute('aria-busy', now)
  for (const button of document.querySelectorAll('.actions button')) button.disabled = now
}

function show(answer) {
  current = answer
  if (current.screen === 'consent') {
    shownAt = readClocks(CLOCKS)
    renderChoices()
  }
  render()
  document.querySelector('.screen:not([hidden])').focus()
}

function render() {
  const { screen } = current
  const kind = ['name', 'consent'].includes(screen) ? screen : 'outcome'
  $('phone').dataset.screen = screen
  for (const part of document.querySelectorAll('.screen')) part.hidden = part.dataset.screen !== kind
  document.title = messages.title
  renderName()
  if (kind === 'consent') renderConsent()
  if (kind === 'outcome') renderOutcome()
}

function renderName() {
  $('scan').textContent = fill(messages.scan, { name: name() })
  $('scan').disabled = !name()
  for (const option of $('launch').options) option.textContent = messages.launches[option.value]
}

function renderConsent() {
  const { client, hosts, ip, place, far_away: far, browser, os, same_ip: sameAddress, requested_at: requestedAt, device } = current.login
  const warning = assessRisk(Number($('launch').value), current.login)
  $('risk').hidden = !warning
  $('risk').textContent = messages.risks[warning] ?? ''
  $('risk').classList.toggle('strong', warning.endsWith('Strong'))
  $('asks').textContent = device ? messages.asksDevice : messages.asks
  $('site').textContent = client
  $('host').hidden = !hosts
  $('hosts').textContent = hosts?.join(', ')
  $('ip').textContent = ip || messages.unknown
  $('where').hidden = !place
  $('place').firstChild.textContent = place
  $('place').dataset.far = Boolean(far)
  $('same').textContent = textFor(messages.same, String(sameAddress))
  $('same').dataset.same = String(sameAddress)
  $('browser').textContent = browser || messages.unknown
  $('os').textContent = os || messages.unknown
  $('requested').textContent = formatDate(new Date(requestedAt), { timeStyle: 'medium' })
  $('as').textContent = fill(messages.as, { name: name() })
  renderLeft()
  renderConfirm()
}

function renderLeft() {
  if (current.screen !== 'consent') return
  const seconds = Math.max(0, Math.ceil(current.expiresIn - elapsed(CLOCKS, shownAt) / 1000))
  // A call under way decides by itself: it may have arrived in time.
  if (!seconds && $('phone').getAttribute('aria-busy') !== 'true') return show({ screen: 'expired' })
  $('left').textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`
}

function renderChoices() {
  const { choices } = current
  $('choices').hidden = !choices?.length
  $('numbers').replaceChildren(...(choices ?? []).map((number) => {
    const label = document.createElement('label')
    const input = Object.assign(document.createElement('input'), { type: 'radio', name: 'match', value: number })
    const text = Object.assign(document.createElement('span'), { textContent: number })
    label.append(input, text)
    return label
  }))
}

function renderConfirm() {
  $('confirm').disabled = Boolean(current.choices?.length) && !chosen()
}

function renderOutcome() {
  const { screen, detail, retryAfter } = current
  const [title, hint] = messages[screen]
  $('sign').dataset.kind = { confirmed: 'good', rejected: 'bad' }[screen] ?? 'odd'
  $('outcome').textContent = title
  $('outcome-hint').textContent = screen === 'refused' ? detail : hint
  $('retry').hidden = !RETRY_SCREENS.includes(screen)
  $('back').hidden = !BACK_SCREENS.includes(screen)
  // The button is enabled after the hub's Retry-After.
  if (retryAfter && !$('retry').hidden) {
    $('retry').disabled = true
    setTimeout(() => { $('retry').disabled = false }, retryAfter * 1000)
  }
}

function name() {
  return cleanName($('name').value)
}

function chosen() {
  return document.querySelector('[name=match]:checked')?.value
}

// Storage may be forbidden. Then the user types the name again.
function storedName() {
  try {
    return localStorage.getItem(NAME_KEY)
  } catch {
    return null
  }
}

function storeName(value) {
  try {
    localStorage.setItem(NAME_KEY, value)
  } catch { /* forbidden */ }
}
