// The phone's screen for each error code that its user can meet. The code comes from outside: without a
// prototype it finds no built-in, such as `constructor`.
const SCREENS = {
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
const CLOSED_SCREENS = { __proto__: null, cancelled_here: 'cancelled', user: 'withdrawn', wrong_number: 'mismatch' }
// The other error codes of the hub. The screen shows the hub's own text.
const OTHER_CODES = ['invalid_request', 'code_invalid', 'scan_required', 'not_confirmed', 'not_found',
  'method_not_allowed', 'too_large', 'unsupported_media_type', 'provider_misconfigured']
const SUCCESS = { scan: 'scanned', confirm: 'confirmed', reject: 'rejected', dispute: 'disputed' }
const NOT_FROM_HUB = { code: 'store_unavailable' } // for an answer that does not come from the hub
const MAX_RETRY_AFTER = 60 // seconds
const RETRY_CODES = ['code_invalid', 'provider_unavailable']
const TIMEOUT = 12000 // ms; the hub itself stops a call to WeChat after 10 s

/**
 * Returns the calls for one ticket. Each call returns `{screen, login, choices, expiresIn, phone, template,
 * detail, retryAfter}` and never throws. `phone` is how the site asks for the phone number, or the masked
 * number; `template` is that of the message for which the site asks permission. It first gets a code from wx.login: a code is valid for one call,
 * and for five minutes.
 */
function createApi({ wx, hub, ticket, frame, language }) {
  const base = `${hub.replace(/\/+$/, '')}/api/login`

  async function call(action, fields) {
    let answer = await send(action, fields)
    if (!RETRY_CODES.includes(answer.code)) return screen(answer)
    // A new code for the phone number needs a tap.
    if (fields.phone_code) return { screen: 'phone' }
    // Retries once: a call whose answer was lost may have used the code.
    answer = await send(action, fields)
    return screen(answer)
  }

  async function send(action, fields) {
    const provider = await providerOf(wx, base)
    if (provider.failed) return { code: provider.failed }
    const code = provider.kind === 'sandbox' ? sandboxCode() : await login(wx)
    if (!code) return { code: 'network' }
    const answer = await request(wx, 'POST', `${base}/tickets/${ticket}/${action}`, Object.assign({ provider: provider.id, code }, fields), language)
    return read(answer, SUCCESS[action])
  }

  return {
    scan: (user) => call('scan', Object.assign({ user }, frame && { frame })),
    confirm: (user, match, phoneCode, notice) => call('confirm', Object.assign({ user, match }, phoneCode && { phone_code: phoneCode }, notice && { notice })),
    reject: () => call('reject', {}),
    dispute: () => call('dispute', {}),
  }
}

function login(wx) {
  return new Promise((done) => {
    wx.login({ timeout: TIMEOUT, success: ({ code }) => done(code), fail: () => done('') })
  })
}

// Returns the hub's provider for mini-programs, or its sandbox, which needs no WeChat account. The hub is asked
// once: each later call uses the same answer.
const providers = {}
async function providerOf(wx, base) {
  if (providers[base]) return providers[base]
  const { failed, statusCode, data } = await request(wx, 'GET', `${base}/providers`)
  if (failed) return { failed }
  const all = statusCode === 200 && data && Array.isArray(data.providers) ? data.providers : []
  const found = all.find(({ kind }) => kind === 'wechat') || all.find(({ kind }) => kind === 'sandbox')
  if (found) providers[base] = found
  return found || { id: 'wechat', kind: 'wechat' } // the answer is a proxy's, or of a hub that has no such list
}

// WeChat DevTools has no user in tourist mode. A sandbox takes any name.
function sandboxCode() {
  return `sandbox:DevTools:${Date.now()}-${Math.random()}`
}

function request(wx, method, url, data, language) {
  return new Promise((done) => {
    wx.request({
      url,
      method,
      timeout: TIMEOUT,
      header: Object.assign({ 'Content-Type': 'application/json' }, language && { 'Accept-Language': language }),
      data,
      success: done, // for every status
      fail: ({ errMsg }) => done({ failed: /time(d )?out/i.test(errMsg) ? 'timeout' : 'network' }),
    })
  })
}

// Returns the hub's answer. A proxy may answer with any status and any text: only an expected state
// or a problem document with a known code comes from the hub.
function read({ failed, statusCode, data, header }, state) {
  if (failed) return { code: failed }
  const body = data && typeof data === 'object' ? data : {}
  const isProblem = /^application\/problem\+json *(;|$)/i.test(field(header, 'content-type'))
  const known = body.code in SCREENS || OTHER_CODES.includes(body.code)
  const fromHub = statusCode >= 200 && statusCode < 300 ? body.state === state : isProblem && known
  const retryAfter = Math.min(parseInt(field(header, 'retry-after'), 10) || 0, MAX_RETRY_AFTER)
  return Object.assign({}, fromHub ? body : NOT_FROM_HUB, { retryAfter })
}

// Returns a header's value. Phones differ in the case of header names.
function field(header, wantedName) {
  const name = Object.keys(header || {}).find((key) => key.toLowerCase() === wantedName)
  return name ? String(header[name]) : ''
}

function screen({ state, login: loginRequest, match_choices: choices, expires_in: expiresIn, phone_number: phone, notice_template: template, code, reason, detail, retryAfter }) {
  if (state === 'scanned') return { screen: 'consent', login: loginRequest, choices: choices || [], expiresIn, phone: phone || '', template: template || '' }
  if (state) return { screen: state, phone: phone || '' }
  if (code === 'ticket_closed') return { screen: CLOSED_SCREENS[reason] || 'closed', detail: detail || code, retryAfter }
  return { screen: SCREENS[code] || 'refused', detail: detail || code, retryAfter }
}

module.exports = { createApi, CLOSED_SCREENS, SCREENS }
