import { fill, speak } from './i18n.js'
import { cleanName, createPhone } from './phone-calls.js'
import { risk } from './phone-risk.js'
import { words } from './phone-words.js'

const $ = (id) => document.getElementById(id)
const REMEMBERED = 'loginhub.sandbox.name'
const RETRIED = ['busy', 'trouble', 'timeout', 'offline']
const RENAMED = ['taken', 'refused']

const phone = createPhone({ ticket: document.body.dataset.ticket })
let said
let shown = { screen: 'name' }
let last // the call that a retry repeats
let deadline // of the consent, by this page's clock

speak(words, $('language'), (texts) => {
  const untouched = !said || $('name').value === said.defaultName
  said = texts
  if (untouched) $('name').value = remembered() ?? said.defaultName
  render()
})

$('name').addEventListener('input', renderName)
$('name-form').addEventListener('submit', (event) => {
  event.preventDefault()
  remember(name())
  run(() => phone.scan(name()))
})
$('confirm').addEventListener('click', () => run(() => phone.confirm(name(), chosen())))
$('reject').addEventListener('click', () => run(() => phone.reject(name())))
$('retry').addEventListener('click', () => run(last))
$('back').addEventListener('click', () => show({ screen: 'name' }))
$('numbers').addEventListener('change', renderConfirm)
setInterval(renderLeft, 250)

async function run(call) {
  last = call
  busy(true)
  const answer = await call()
  busy(false)
  show(answer)
}

function busy(now) {
  $('phone').setAttribute('aria-busy', now)
  for (const button of document.querySelectorAll('.actions button')) button.disabled = now
}

function show(answer) {
  shown = answer
  if (shown.screen === 'consent') {
    deadline = performance.now() + shown.expiresIn * 1000
    renderChoices()
  }
  render()
  document.querySelector('.screen:not([hidden])').focus()
}

function render() {
  const { screen } = shown
  const kind = ['name', 'consent'].includes(screen) ? screen : 'outcome'
  $('phone').dataset.screen = screen
  for (const part of document.querySelectorAll('.screen')) part.hidden = part.dataset.screen !== kind
  document.title = said.title
  renderName()
  if (kind === 'consent') renderConsent()
  if (kind === 'outcome') renderOutcome()
}

function renderName() {
  $('scan').textContent = fill(said.scan, { name: name() })
  $('scan').disabled = !name()
  for (const option of $('launch').options) option.textContent = said.launches[option.value]
}

function renderConsent() {
  const { client, hosts, ip, browser, os, same_ip: same, requested_at: requested } = shown.login
  const warning = risk(Number($('launch').value), shown.login)
  $('risk').hidden = !warning
  $('risk').textContent = said.risks[warning] ?? ''
  $('risk').classList.toggle('strong', warning.endsWith('Strong'))
  $('site').textContent = client
  $('host').hidden = !hosts
  $('hosts').textContent = hosts?.join(', ')
  $('ip').textContent = ip || said.unknown
  $('same').textContent = said.same[same]
  $('same').dataset.same = String(same)
  $('browser').textContent = browser || said.unknown
  $('os').textContent = os || said.unknown
  $('requested').textContent = new Date(requested).toLocaleTimeString(document.documentElement.lang)
  $('as').textContent = fill(said.as, { name: name() })
  renderLeft()
  renderConfirm()
}

function renderLeft() {
  if (shown.screen !== 'consent') return
  const seconds = Math.max(0, Math.ceil((deadline - performance.now()) / 1000))
  $('left').textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`
}

function renderChoices() {
  const { choices } = shown
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
  $('confirm').disabled = Boolean(shown.choices?.length) && !chosen()
}

function renderOutcome() {
  const { screen, detail, retryAfter } = shown
  const [title, todo] = said[screen]
  $('sign').dataset.kind = { confirmed: 'good', rejected: 'bad' }[screen] ?? 'odd'
  $('outcome').textContent = title
  $('outcome-hint').textContent = screen === 'refused' ? detail : todo
  $('retry').hidden = !RETRIED.includes(screen)
  $('back').hidden = !RENAMED.includes(screen)
  // The hub said how long: the button comes alive then.
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

// Storage can be forbidden; the name is then typed again.
function remembered() {
  try {
    return localStorage.getItem(REMEMBERED)
  } catch {
    return null
  }
}

function remember(value) {
  try {
    localStorage.setItem(REMEMBERED, value)
  } catch { /* as above */ }
}
