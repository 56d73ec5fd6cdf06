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
    return post(wx, `${hub}/api/login/tickets/${ticket}/${action}`, Object.assign({ provider: 'wechat', code }, more), language)
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
      // Called for every status; what a proxy answers may be no JSON at all.
      success: ({ statusCode, data: answer, header }) => {
        const said = answer && typeof answer === 'object' ? answer : {}
        const code = said.code || (said.state ? undefined : statusCode >= 500 ? 'store_unavailable' : `http_${statusCode}`)
        done(Object.assign({}, said, { code, retryAfter: retryAfter(header) }))
      },
      fail: ({ errMsg }) => done({ code: /time(d )?out/i.test(errMsg) ? 'timeout' : 'network' }),
    })
  })
}

// Phones differ in the case of a header's name.
function retryAfter(header) {
  const name = Object.keys(header || {}).find((key) => key.toLowerCase() === 'retry-after')
  return (name && parseInt(header[name], 10)) || 0
}

function screen({ state, login: asks, match_choices: choices, expires_in: expiresIn, code, detail, retryAfter: after }) {
  if (state === 'scanned') return { screen: 'consent', login: asks, choices: choices || [], expiresIn }
  if (state) return { screen: state }
  return { screen: SCREENS[code] || 'refused', detail: detail || code, retryAfter: after }
}

module.exports = { createCalls, SCREENS }
