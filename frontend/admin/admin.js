import { messages } from './messages.js'
import { setUpConfirm } from './confirm.js'
import { makeFill, render } from './render.js'

const EVERY = 5000 // as often as nodes write their figures
const KEY = 'loginhub-admin-token'
const LANGUAGE_KEY = 'loginhub-admin-language'
const $ = (id) => document.getElementById(id)

// The token is kept for this tab, so that a reload does not ask for it. It is in no URL.
let token = stored(KEY)
let language = messages[stored(LANGUAGE_KEY)] ? stored(LANGUAGE_KEY) : navigator.language.startsWith('zh') ? 'zh-CN' : 'en'
let status // the last answer of admin/status
let refusedToken = false // the last token was wrong
let silentSince = null
let timer
let asked = 0 // counts the requests: only the answer of the last one counts
const history = [] // logins per minute, since the page was opened

// A browser may refuse to keep anything. Then a reload asks again.
function stored(key) {
  try {
    return sessionStorage.getItem(key) ?? ''
  } catch {
    return ''
  }
}

function store(key, value) {
  try {
    sessionStorage.setItem(key, value)
  } catch { /* refused */ }
}

const text = () => messages[language]

/** Sends a request of an operator. Throws an error with a text for people if the answer is no success. */
async function call(path, options = {}) {
  const answer = await fetch(path, { cache: 'no-store', redirect: 'error', signal: AbortSignal.timeout(10000),
    ...options, headers: { ...options.headers, ...(token && { Authorization: `Bearer ${token}` }) } })
  if (answer.ok) return answer
  const said = await answer.text()
  const error = new Error(answer.headers.get('Content-Type') === 'application/problem+json' ? JSON.parse(said).detail : said.slice(0, 300))
  error.status = answer.status
  throw error
}

async function refresh() {
  clearTimeout(timer)
  const mine = ++asked
  try {
    const next = await (await call('admin/status')).json()
    if (mine !== asked) return
    status = next
    silentSince = null
    history.push(status.nodes.reduce((sum, node) => sum + node.logins, 0))
    history.splice(0, history.length - 120)
  } catch (err) {
    if (mine !== asked) return
    if (err.status === 401 && token) {
      forget()
      refusedToken = true
      return refresh()
    }
    silentSince ??= new Date()
  }
  show()
  if (!document.hidden) timer = setTimeout(refresh, EVERY)
}

function forget() {
  token = ''
  store(KEY, '')
}

function show() {
  const t = text()
  const problem = silentSince ? makeFill(t.silent, { time: silentSince.toLocaleTimeString(language) })
    : status?.nodes_error ? makeFill(t.nodesOld, { error: status.nodes_error }) : ''
  $('problem').textContent = problem
  $('problem').hidden = !problem
  if (!status) return
  const operator = status.access === 'operator'
  $('access').hidden = operator && !token
  $('enter').hidden = status.access !== 'token'
  $('leave').hidden = !operator
  $('reason').textContent = operator ? t.unlocked : status.access === 'closed' ? t.closed : (refusedToken ? `${t.wrong} ` : '') + t.readOnly
  render(status, { t, language, history, change: confirm.open })
}

const confirm = setUpConfirm({
  texts: text,
  async send(ids, enabled) {
    for (const id of ids) {
      await call(`clients/${encodeURIComponent(id)}/login`, { method: 'PUT', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ enabled }) })
    }
  },
  done: refresh, // also after a failure: it shows what is in force now
})

function setLanguage(next) {
  language = next
  store(LANGUAGE_KEY, next)
  document.documentElement.lang = language
  document.title = text().title
  $('language').value = language
  for (const element of document.querySelectorAll('[data-t]')) element.textContent = text()[element.dataset.t]
  show()
}

$('access').addEventListener('submit', (event) => {
  event.preventDefault()
  token = $('token').value.trim()
  $('token').value = ''
  refusedToken = false
  store(KEY, token)
  refresh()
})
$('lock').addEventListener('click', () => {
  forget()
  refresh()
})
$('all').addEventListener('click', () => confirm.open(status.clients.filter((site) => site.enabled || site.unreadable), false, true))
$('language').addEventListener('change', () => setLanguage($('language').value))
document.addEventListener('visibilitychange', () => (document.hidden ? clearTimeout(timer) : refresh()))

setLanguage(language)
refresh()
