import assert from 'node:assert/strict'
import { test } from 'node:test'
import { messages } from '../../e2e/messages.js'
import { cleanName, createPhone } from '../phone-api.js'

function phoneAPI(...answers) {
  const calls = []
  const fetch = async (url, init) => {
    calls.push({ url, language: init.headers['Accept-Language'], body: JSON.parse(init.body) })
    const answer = answers.shift()
    if (!answer) throw new TypeError('Failed to fetch')
    if (answer instanceof Response) return answer
    const body = answer.body ?? answer
    const headers = { 'Content-Type': body.code ? 'application/problem+json' : 'application/json', ...answer.headers }
    return new Response(JSON.stringify(body), { status: body.code ? 409 : 200, headers })
  }
  let n = 0
  return { calls, ...createPhone({ ticket: 'T', fetch, random: () => String(++n), language: () => 'ar' }) }
}

test('phone: every call has its own code', async () => {
  const api = phoneAPI({ state: 'scanned', login: {}, match_choices: ['12'], expires_in: 60 }, { state: 'confirmed' })
  assert.deepEqual(await api.scan('小明'), { screen: 'consent', login: {}, choices: ['12'], expiresIn: 60 })
  assert.deepEqual(await api.confirm('小明', '12'), { screen: 'confirmed' })
  assert.deepEqual(api.calls, [
    { url: '/api/login/tickets/T/scan', language: 'ar', body: { provider: 'sandbox', code: 'sandbox:小明:1', user: { nickname: '小明' } } },
    { url: '/api/login/tickets/T/confirm', language: 'ar', body: { provider: 'sandbox', code: 'sandbox:小明:2', match: '12', user: { nickname: '小明' } } },
  ])
})

test('phone: a refused code is replaced once', async () => {
  const api = phoneAPI({ code: 'code_invalid' }, { state: 'rejected' })
  assert.equal((await api.reject('A')).screen, 'rejected')
  assert.deepEqual(api.calls.map((c) => c.body.code), ['sandbox:A:1', 'sandbox:A:2'])
  const twice = phoneAPI({ code: 'code_invalid' }, { code: 'code_invalid', detail: 'used' })
  assert.deepEqual(await twice.reject('A'), { screen: 'refused', detail: 'used', retryAfter: 0 })
})

const outcomes = {
  already_scanned: 'taken', ticket_closed: 'closed', ticket_expired: 'expired', ticket_not_found: 'gone',
  match_failed: 'mismatch', address_mismatch: 'elsewhere', rate_limited: 'busy', store_unavailable: 'trouble', login_disabled: 'disabled', user_blocked: 'blocked',
}
for (const [code, screen] of Object.entries(outcomes)) {
  test(`phone screens: ${code} has texts`, async () => {
    const api = phoneAPI({ body: { code }, headers: { 'Retry-After': '9' } })
    const answer = await api.scan('A')
    assert.equal(answer.screen, screen)
    assert.equal(answer.retryAfter, 9)
    assert.ok(messages.en.phone[screen][0])
  })
}

const otherAnswers = {
  'a 404 in plain text': new Response('404 page not found', { status: 404 }),
  'a 403 page': new Response('<h1>Forbidden</h1>', { status: 403, headers: { 'Content-Type': 'text/html' } }),
  'a portal’s page': new Response('<h1>Welcome</h1>', { headers: { 'Content-Type': 'text/html' } }),
  'an empty success': new Response(null, { status: 204 }),
  'another server’s JSON': Response.json({ status: 'ok' }),
  'an unexpected state': Response.json({ state: 'rejected' }),
  'a refusal that is not a problem document': Response.json({ code: 'ticket_expired' }, { status: 410 }),
  'another server’s problem': new Response('{"code":"E17"}', { status: 404, headers: { 'Content-Type': 'application/problem+json' } }),
}
for (const [name, answer] of Object.entries(otherAnswers)) {
  test(`phone screens: ${name} can be retried`, async () => {
    assert.equal((await phoneAPI(answer).scan('A')).screen, 'trouble')
  })
}

test('phone: media type with parameters, bounded Retry-After', async () => {
  const headers = { 'Content-Type': 'Application/Problem+JSON; charset=utf-8', 'Retry-After': '3600' }
  const { screen, retryAfter } = await phoneAPI({ body: { code: 'rate_limited' }, headers }).scan('A')
  assert.deepEqual([screen, retryAfter], ['busy', 60])
})

// The mini-program's tests have the same for every reason, and compare both tables.
test('phone screens: a reason or code that is a built-in’s name', async () => {
  assert.equal((await phoneAPI({ code: 'ticket_closed', reason: 'constructor' }).scan('A')).screen, 'closed')
  assert.equal((await phoneAPI({ code: 'constructor' }).scan('A')).screen, 'trouble')
})

test('phone screens: offline', async () => {
  assert.equal((await phoneAPI().scan('A')).screen, 'offline')
})

test('cleanName: removes colons and control characters', () => {
  assert.equal(cleanName('  A:B\u202e\u0000 '), 'AB')
})
