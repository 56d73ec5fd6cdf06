// What each refusal means to the one who holds the phone: a screen of its own.
const SCREENS = {
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
const FRESH_CODE_HELPS = ['code_invalid', 'provider_unavailable']
const TIMEOUT = 12000 // the hub itself gives up on WeChat after 10 s

/**
 * The calls for one ticket. Each gives `{screen, login, choices, expiresIn, detail, retryAfter}`
 * and never throws. Every call asks wx.login for a code right before: a code is good for one
 * call and for five minutes.
 */
function createCalls({ wx, hub, ticket, language }) {
  async function call(action, more) {
    let answer = await once(action, more)
    // Once, silently: a code can have been spent by a call whose answer was lost.
    if (FRESH_CODE_HELPS.includes(answer.code)) answer = await once(action, more)
    return screen(answer)
  }

  async function once(action, more) {
    const code = await login(wx)
    if (!code) return { code: 'network' }
    const answer = await post(wx, `${hub.replace(/\/+$/, '')}/api/login/tickets/${ticket}/${action}`,
      Object.assign({ provider: 'wechat', code }, more), language)
    return read(answer, SUCCESS[action])
  }

  return {
    scan: (user) => call('scan', { user }),
    confirm: (user, match) => call('confirm', { user, match }),
    reject: () => call('reject'),
  }
}

function login(wx) {
  return new Promise((done) => {
    wx.login({ timeout: TIMEOUT, success: ({ code }) => done(code), fail: () => done('') })
  })
}

function post(wx, url, data, language) {
  return new Promise((done) => {
    wx.request({
      url,
      method: 'POST',
      timeout: TIMEOUT,
      header: { 'Content-Type': 'application/json', 'Accept-Language': language },
      data,
      success: done, // for every status
      fail: ({ errMsg }) => done({ failed: /time(d )?out/i.test(errMsg) ? 'timeout' : 'network' }),
    })
  })
}

// A proxy can answer with any status and any text: only the contract's own forms are the hub's.
function read({ failed, statusCode, data, header }, state) {
  if (failed) return { code: failed }
  const said = data && typeof data === 'object' ? data : {}
  const isProblem = /^application\/problem\+json *(;|$)/i.test(field(header, 'content-type'))
  const known = said.code in SCREENS || REFUSED.includes(said.code)
  const own = statusCode >= 200 && statusCode < 300 ? said.state === state : isProblem && known
  const retryAfter = Math.min(parseInt(field(header, 'retry-after'), 10) || 0, LONGEST_WAIT)
  return Object.assign({}, own ? said : NO_ANSWER, { retryAfter })
}

// Phones differ in the case of a header's name.
function field(header, wanted) {
  const name = Object.keys(header || {}).find((key) => key.toLowerCase() === wanted)
  return name ? String(header[name]) : ''
}

function screen({ state, login: asks, match_choices: choices, expires_in: expiresIn, code, detail, retryAfter: after }) {
  if (state === 'scanned') return { screen: 'consent', login: asks, choices: choices || [], expiresIn }
  if (state) return { screen: state }
  return { screen: SCREENS[code] || 'refused', detail: detail || code, retryAfter: after }
}

module.exports = { createCalls, SCREENS }
