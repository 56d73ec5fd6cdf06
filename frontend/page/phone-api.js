import { cleanName as cleanText } from '../client/widget/names.js'
import { timeout } from './timeout.js'

// The phone's screen for each error code that its user can meet. The code comes from outside: without a
// prototype it finds no built-in, such as `constructor`.
export const SCREENS = {
  __proto__: null,
  already_scanned: 'taken',
  code_stale: 'stale',
  ticket_closed: 'closed',
  ticket_expired: 'expired',
  ticket_not_found: 'gone',
  match_failed: 'mismatch',
  address_mismatch: 'elsewhere',
  user_blocked: 'blocked',
  identity_incomplete: 'incomplete',
  identity_unknown: 'unlisted',
  login_disabled: 'disabled',
  rate_limited: 'busy',
  overloaded: 'trouble',
  store_unavailable: 'trouble',
  provider_unavailable: 'trouble',
  internal_error: 'trouble',
  timeout: 'timeout',
  network: 'offline',
}
// The screen for `ticket_closed`, by the reason for the ticket's end.
export const CLOSED_SCREENS = { __proto__: null, cancelled_here: 'cancelled', user: 'withdrawn', wrong_number: 'mismatch' }
// The other error codes of the hub. The screen shows the hub's own text.
const OTHER_CODES = ['invalid_request', 'code_invalid', 'scan_required', 'not_confirmed', 'not_found',
  'method_not_allowed', 'too_large', 'unsupported_media_type', 'provider_misconfigured']
const SUCCESS = { scan: 'scanned', confirm: 'confirmed', reject: 'rejected' }
const NOT_FROM_HUB = { code: 'store_unavailable' } // for an answer that does not come from the hub
const MAX_RETRY_AFTER = 60 // seconds
const TIMEOUT = 12000 // ms; the hub itself stops a call to a provider after 10 s
const RETRY_CODES = ['code_invalid', 'provider_unavailable']

/**
 * Returns the calls of the sandbox's phone for one ticket. Each call returns `{screen, login, choices,
 * expiresIn, detail, retryAfter}` and has its own code: the hub accepts a code once. `frame` is that of a living code.
 */
export function createPhone({ ticket, frame, fetch = globalThis.fetch, random = randomHex, language = () => document.documentElement.lang }) {
  async function call(action, name, fields) {
    const answer = await post(action, name, fields)
    // Retries once, with a new code, as a mini-program must.
    return RETRY_CODES.includes(answer.code) ? screen(await post(action, name, fields)) : screen(answer)
  }

  async function post(action, name, fields) {
    const body = { provider: 'sandbox', code: `sandbox:${name}:${random()}`, ...fields }
    try {
      const answer = await fetch(`/api/login/tickets/${ticket}/${action}`, {
        method: 'POST', body: JSON.stringify(body),
        // The site's name in the page's language, which the person may have chosen.
        headers: { 'Content-Type': 'application/json', 'Accept-Language': language() },
        redirect: 'error', signal: timeout(TIMEOUT),
      })
      const retryAfter = Math.min(parseInt(answer.headers.get('Retry-After')) || 0, MAX_RETRY_AFTER)
      return { ...await read(answer, SUCCESS[action]), retryAfter }
    } catch (err) {
      return { code: /^(Abort|Timeout)Error$/.test(err.name) ? 'timeout' : 'network' }
    }
  }

  return {
    scan: (name) => call('scan', name, { user: { nickname: name }, frame }),
    confirm: (name, match) => call('confirm', name, { match, user: { nickname: name } }),
    reject: (name) => call('reject', name),
  }
}

// Returns the hub's answer. A proxy may answer with any status and any text: only an expected state
// or a problem document with a known code comes from the hub.
async function read(answer, state) {
  const body = await answer.text().then(parse)
  const isProblem = /^application\/problem\+json *(;|$)/i.test(answer.headers.get('Content-Type') ?? '')
  const known = body?.code in SCREENS || OTHER_CODES.includes(body?.code)
  return (answer.ok ? body?.state === state : isProblem && known) ? body : NOT_FROM_HUB
}

function parse(text) {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

function screen(answer) {
  const { state, login, match_choices: choices, expires_in: expiresIn, code, reason, detail, retryAfter } = answer
  if (state === 'scanned') return { screen: 'consent', login, choices, expiresIn }
  if (state) return { screen: state }
  if (code === 'ticket_closed') return { screen: CLOSED_SCREENS[reason] ?? 'closed', detail: detail ?? code, retryAfter }
  return { screen: SCREENS[code] ?? 'refused', detail: detail ?? code, retryAfter }
}

// Works on plain http too: crypto.randomUUID does not exist there.
function randomHex() {
  return Array.from(crypto.getRandomValues(new Uint8Array(12)), (b) => b.toString(16).padStart(2, '0')).join('')
}

/** Removes what a name in the sandbox's code must not contain: the colon separates the code's parts. */
export function cleanName(text) {
  return cleanText(text.replaceAll(':', ''))
}
