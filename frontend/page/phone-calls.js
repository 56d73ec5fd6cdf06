// What each refusal means to the one who holds the phone: a screen of its own.
export const SCREENS = {
  already_scanned: 'taken',
  ticket_closed: 'closed',
  ticket_expired: 'expired',
  ticket_not_found: 'gone',
  match_failed: 'mismatch',
  address_mismatch: 'elsewhere',
  user_blocked: 'blocked',
  identity_incomplete: 'incomplete',
  login_disabled: 'disabled',
  rate_limited: 'busy',
  overloaded: 'trouble',
  store_unavailable: 'trouble',
  provider_unavailable: 'trouble',
  internal_error: 'trouble',
  timeout: 'timeout',
  network: 'offline',
}
// The contract's other refusals: the screen shows the hub's own words.
const REFUSED = ['invalid_request', 'code_invalid', 'code_stale', 'identity_unknown', 'scan_required', 'not_confirmed', 'not_found',
  'method_not_allowed', 'too_large', 'unsupported_media_type', 'provider_misconfigured']
const SUCCESS = { scan: 'scanned', confirm: 'confirmed', reject: 'rejected' }
const NO_ANSWER = { code: 'store_unavailable' } // the hub's was not reached
const LONGEST_WAIT = 60 // seconds
const TIMEOUT = 12000 // the hub itself gives up on a provider after 10 s
const FRESH_CODE_HELPS = ['code_invalid', 'provider_unavailable']

/**
 * The calls of the sandbox's phone for one ticket. Each gives `{screen, login, choices, expiresIn,
 * detail, retryAfter}`; every call brings a code of its own, as the hub takes none twice.
 */
export function createPhone({ ticket, fetch = globalThis.fetch, random = randomHex }) {
  async function call(action, name, more) {
    const answer = await post(action, name, more)
    // As a mini-program must: once, silently, with a fresh code.
    return FRESH_CODE_HELPS.includes(answer.code) ? screen(await post(action, name, more)) : screen(answer)
  }

  async function post(action, name, more) {
    const body = { provider: 'sandbox', code: `sandbox:${name}:${random()}`, ...more }
    try {
      const answer = await fetch(`/api/login/tickets/${ticket}/${action}`, {
        method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body),
        redirect: 'error', signal: AbortSignal.timeout(TIMEOUT),
      })
      const retryAfter = Math.min(parseInt(answer.headers.get('Retry-After')) || 0, LONGEST_WAIT)
      return { ...await read(answer, SUCCESS[action]), retryAfter }
    } catch (err) {
      return { code: err.name === 'TimeoutError' ? 'timeout' : 'network' }
    }
  }

  return {
    scan: (name) => call('scan', name, { user: { nickname: name } }),
    confirm: (name, match) => call('confirm', name, { match, user: { nickname: name } }),
    reject: (name) => call('reject', name),
  }
}

// A proxy can answer with any status and any text: only the contract's own forms are the hub's.
async function read(answer, state) {
  const said = await answer.text().then(parse)
  const isProblem = /^application\/problem\+json *(;|$)/i.test(answer.headers.get('Content-Type') ?? '')
  const known = said?.code in SCREENS || REFUSED.includes(said?.code)
  return (answer.ok ? said?.state === state : isProblem && known) ? said : NO_ANSWER
}

function parse(text) {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

function screen(answer) {
  const { state, login, match_choices: choices, expires_in: expiresIn, code, detail, retryAfter } = answer
  if (state === 'scanned') return { screen: 'consent', login, choices, expiresIn }
  if (state) return { screen: state }
  return { screen: SCREENS[code] ?? 'refused', detail: detail ?? code, retryAfter }
}

// Works on plain http as well, where crypto.randomUUID is missing.
function randomHex() {
  return Array.from(crypto.getRandomValues(new Uint8Array(12)), (b) => b.toString(16).padStart(2, '0')).join('')
}

/** A name that the sandbox takes: the colon divides its codes. */
export function cleanName(text) {
  return text.replace(/[:\p{C}]/gu, '').trim()
}
