import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createLogin, Problem } from '../login.js'
import { confirmed, consumed, expired, Hub, json, login, pending, scanned, settle } from './fakes.js'

test('login: from the code to the acknowledged token', async (t) => {
  let accept
  const tokens = []
  const l = await login(t, {
    onToken: (token) => {
      tokens.push(token)
      return new Promise((done) => { accept = done })
    },
  })
  const { hub } = l
  assert.deepEqual(JSON.parse(hub.calls[0].init.body), { client_id: 'demo', nonce: 'n' })
  assert.equal(l.now.qrImage, 'https://hub.test/api/login/tickets/ticket1/qr.svg')
  for (const view of [pending, scanned, confirmed]) hub.socket.sendView(view)
  await settle()
  assert.deepEqual(tokens, ['T'])
  assert.deepEqual(hub.socket.sent, [], 'acknowledged before the handler had the token')
  accept()
  await settle()
  assert.deepEqual(hub.socket.sent, [{ ack: 3 }])
  hub.socket.sendView(consumed)
  hub.socket.closeWith(1000)
  await l.clock.advance(600000)
  assert.deepEqual(l.states.map((s) => s.state), ['making', 'pending', 'pending', 'scanned', 'confirmed', 'consumed'])
  assert.equal(hub.sockets.length, 1, 'reconnected after the end')
  assert.equal(hub.calls.length, 1)
})

test('request: the browser goes to the site, by a redirect or a form', async (t) => {
  for (const [view, want] of [
    [{ ...confirmed, token: undefined, redirect_to: 'https://rp.example/cb?code=c' }, 'https://rp.example/cb?code=c'],
    [{ ...confirmed, token: undefined, form_post: { action: 'https://rp.example/cb', fields: { code: 'c' } } }, 'post https://rp.example/cb code=c'],
    [{ state: 'rejected', seq: 3, reason: 'user', redirect_to: 'https://rp.example/cb?error=e' }, 'https://rp.example/cb?error=e'],
  ]) {
    const l = await login(t, { request: 'REQUEST', onToken: () => assert.fail('there is no token') })
    const went = []
    l.win.location = { assign: (to) => went.push(to) }
    const form = []
    Object.assign(l.doc, { body: { append() {} }, createElement: (name) => (name === 'form'
      ? { append: ({ name, value }) => form.push(`${name}=${value}`), submit() { went.push(`${this.method} ${this.action} ${form}`) } } : {}) })
    const { body, credentials } = l.hub.calls[0].init
    assert.deepEqual([JSON.parse(body), credentials], [{ request: 'REQUEST' }, 'same-origin'])
    l.hub.socket.sendView(view)
    await settle()
    assert.deepEqual(went, [want])
    assert.deepEqual(l.hub.socket.sent, view.state === 'confirmed' ? [{ ack: 3 }] : [])
  }
})

test('delivery by code: the site gets the code in place of the token', async (t) => {
  const passed = []
  const l = await login(t, { onToken: (code, view) => { passed.push(code, view.code) } })
  l.hub.socket.sendView({ ...confirmed, token: undefined, code: 'id.proof' })
  await settle()
  assert.deepEqual(passed, ['id.proof', 'id.proof'])
  assert.deepEqual(l.hub.socket.sent, [{ ack: 3 }])
})

test('secret: in no URL', async (t) => {
  const l = await login(t)
  await l.clock.advance(2500)
  assert.deepEqual(l.hub.socket.protocols, ['loginhub.v1', 'loginhub.secret.secret1'])
  assert.equal(l.hub.requests('poll')[0].init.headers.Authorization, 'Bearer secret1')
  for (const { url } of [...l.hub.calls, ...l.hub.sockets]) assert.ok(!url.includes('secret'), url)
})

const refusals = {
  'a rejection': () => Promise.reject(new Error('site is down')),
  'an exception': () => { throw new Error('site is down') },
  'a 500 that fetch resolves to': async () => new Response('', { status: 500 }),
  'a 401 among several answers': async () => [undefined, new Response('', { status: 401 })],
}
for (const [name, refuse] of Object.entries(refusals)) {
  test(`token: after ${name} it is passed again`, async (t) => {
    const times = []
    const l = await login(t, {
      onToken(token) {
        times.push(l.clock.now())
        return times.length > 3 ? new Response(token) : refuse()
      },
    })
    l.hub.socket.sendView(confirmed)
    await l.clock.advance(6999)
    assert.deepEqual(times, [0, 1000, 3000])
    assert.deepEqual(l.hub.sockets[0].sent, [])
    await l.clock.advance(1)
    assert.deepEqual(times, [0, 1000, 3000, 7000])
    const acks = [...l.hub.sockets.flatMap((socket) => socket.sent), ...l.hub.requests('ack')]
    assert.equal(acks.length, 1)
  })

  test(`token: ${name} until it expires is an error, without a new code`, async (t) => {
    let calls = 0
    const l = await login(t, { onToken: () => { calls++; return refuse() } })
    l.hub.socket.sendView(confirmed)
    await l.clock.advance(59000)
    l.hub.socket.sendView({ ...expired, seq: 4 }) // of the ticket; the token lives for 300 s
    await l.clock.advance(240000)
    assert.equal(l.now.state, 'confirmed')
    assert.ok(calls > 30, `given ${calls} times`)
    await l.clock.advance(20000)
    assert.equal(l.now.state, 'error')
    assert.equal(l.now.error.code, 'token_not_accepted')
    assert.match(l.now.error.detail, /site is down|site answered (500|401)/)
    assert.ok(!l.now.error.passing && !l.now.retryIn)
    const last = calls
    await l.clock.advance(600000)
    assert.equal(calls, last)
    assert.equal(l.hub.created, 1)
    assert.deepEqual([...l.hub.sockets.flatMap((socket) => socket.sent), ...l.hub.requests('ack')], [])
  })
}

test('token: accepted after the ticket expired', async (t) => {
  let accept
  const l = await login(t, { onToken: () => new Promise((done) => { accept = done }) })
  l.hub.socket.sendView(confirmed)
  l.hub.socket.sendView({ ...expired, seq: 4 })
  accept(new Response(null, { status: 204 }))
  await settle()
  assert.equal(l.now.state, 'consumed')
  assert.equal(l.hub.created, 1)
})

test('acknowledgement: lost on a dead socket, repeated by a request', async (t) => {
  const l = await login(t, { onToken() {} })
  l.hub.socket.sendView(confirmed)
  await l.clock.advance(3999)
  assert.deepEqual(l.hub.sockets[0].sent, [{ ack: 3 }])
  await l.clock.advance(1)
  l.hub.requests('poll')[0].answer(200, confirmed)
  await settle()
  assert.equal(l.hub.requests('ack').length, 1)
})

test('token: repeated, passed once and acknowledged each time', async (t) => {
  let calls = 0
  const l = await login(t, { onToken: () => { calls++ } })
  l.hub.socket.sendView(confirmed)
  await settle()
  l.hub.socket.closeWith(1006)
  await l.clock.advance(1000)
  l.hub.socket.sendView(confirmed)
  await settle()
  assert.equal(calls, 1)
  assert.deepEqual(l.hub.sockets.map((s) => s.sent), [[{ ack: 3 }], [{ ack: 3 }]])
})

test('acknowledgement: lost, the user stays logged in', async (t) => {
  const l = await login(t, { onToken() {} })
  l.hub.socket.sendView(confirmed)
  await settle()
  l.hub.socket.sendView({ ...expired, seq: 4 })
  await settle()
  assert.equal(l.now.state, 'consumed')
  assert.equal(l.hub.created, 1)
})

test('view: an older one is ignored', async (t) => {
  const l = await login(t)
  l.hub.socket.sendView(scanned)
  l.hub.socket.sendView(pending)
  assert.equal(l.now.state, 'scanned')
})

test('onState: an exception does not stop the login', async (t) => {
  const l = await login(t)
  const thrown = []
  const { clock } = l
  const later = clock.setTimeout
  clock.setTimeout = (run, ms) => later(() => { try { run() } catch (err) { thrown.push(err.message) } }, ms)
  l.states.push = () => { throw new Error('mistake of the site') }
  l.hub.socket.sendView(scanned)
  delete l.states.push
  l.hub.socket.sendView({ ...scanned, state: 'rejected', seq: 3 })
  await clock.advance(0)
  assert.equal(l.now.state, 'rejected')
  assert.deepEqual(thrown, ['mistake of the site'])
})

test('renewal: up to the limit, then by the user', async (t) => {
  const l = await login(t, { renewals: 2 })
  for (let i = 0; i < 3; i++) {
    l.hub.socket.sendView(expired)
    await settle()
  }
  assert.equal(l.hub.created, 3)
  assert.equal(l.now.state, 'expired')
  l.hide(false)
  await l.clock.advance(600000)
  assert.equal(l.hub.created, 3)
  l.page.refresh()
  await settle()
  assert.equal(l.now.state, 'pending')
  l.hub.socket.sendView(expired)
  await settle()
  assert.equal(l.hub.created, 5, 'the limit did not start again after the click')
})

test('renewal: not by the countdown', async (t) => {
  const l = await login(t)
  l.hub.socket.sendView({ ...pending, expires_in: 30 })
  assert.equal(l.page.remaining, 30)
  await l.clock.advance(29001)
  assert.equal(l.page.remaining, 1)
  await l.clock.advance(10000)
  assert.equal(l.page.remaining, 0)
  assert.equal(l.now.state, 'pending')
  assert.equal(l.hub.created, 1)
})

test('renewal: a hidden tab waits until it is visible', async (t) => {
  const l = await login(t)
  l.hide(true)
  l.hub.socket.sendView(expired)
  await l.clock.advance(600000)
  assert.equal(l.hub.created, 1)
  assert.equal(l.now.state, 'expired')
  l.hide(false)
  await settle()
  assert.equal(l.hub.created, 2)
  assert.equal(l.now.state, 'pending')
})

test('creation: refused, repeated after Retry-After', async (t) => {
  const l = await login(t)
  l.hub.refuse = () => json(429, { code: 'rate_limited', detail: 'slow down' }, { 'Retry-After': '30' })
  l.page.refresh()
  await settle()
  assert.equal(l.now.error.code, 'rate_limited')
  assert.equal(l.now.retryIn, 31)
  l.win.dispatchEvent(new Event('online'))
  await l.clock.advance(29999)
  assert.equal(l.hub.calls.length, 2)
  l.hub.refuse = undefined
  await l.clock.advance(1001)
  assert.equal(l.now.state, 'pending')
})

test('creation: repeated as soon as the network returns', async (t) => {
  const l = await login(t)
  l.hub.refuse = () => Promise.reject(new TypeError('Failed to fetch'))
  l.page.refresh()
  await settle()
  assert.equal(l.now.error.code, 'network')
  l.hub.refuse = undefined
  l.win.dispatchEvent(new Event('online'))
  await settle()
  assert.equal(l.now.state, 'pending')
})

test('creation: a final refusal is not repeated', async (t) => {
  const l = await login(t)
  l.hub.refuse = () => json(403, { code: 'origin_not_allowed' })
  l.page.refresh()
  await l.clock.advance(600000)
  assert.equal(l.now.error.code, 'origin_not_allowed')
  assert.equal(l.hub.calls.length, 2)
})

const pagehide = (persisted) => (l) => l.win.dispatchEvent(Object.assign(new Event('pagehide'), { persisted }))
const kept = (leave) => (l) => { l.page.keepTicket(); leave(l) }
for (const [name, view, leave, cancelled] of [
  ['"not me"', scanned, (l) => l.page.refresh(), 'now'],
  ['cancel() while pending', pending, (l) => l.page.cancel(), 'now'],
  ['cancel() after a link into an app', scanned, kept((l) => l.page.cancel()), 'now'],
  ['fail() while pending', pending, (l) => l.page.fail(new Problem('code_not_drawn')), 'now'],
  ['fail() while scanned', scanned, (l) => l.page.fail(new Problem('code_not_drawn'))],
  ['stop()', scanned, (l) => l.page.stop(), 'now'],
  ['the page closes while pending', pending, pagehide(false), 'keepalive'],
  ['the page closes while scanned', scanned, pagehide(false), 'keepalive'],
  ['the page goes to the back/forward cache', scanned, pagehide(true)],
  ['a page hides without saying how', scanned, pagehide(undefined)],
  ['the page closes after a link into an app', scanned, kept(pagehide(false))],
  ['stop() after a link into an app', scanned, kept((l) => l.page.stop())],
  ['the page closes while confirmed', confirmed, pagehide(false)],
  ['refresh() while confirmed', confirmed, (l) => l.page.refresh()],
  ['the page closes after a rejection', { state: 'rejected', seq: 3 }, pagehide(false)],
]) {
  test(`cancel: ${name}: ${cancelled ?? 'no'}`, async (t) => {
    const l = await login(t, { onToken() {} })
    l.hub.socket.sendView(view)
    await settle()
    leave(l)
    await settle()
    assert.deepEqual(l.hub.cancels.map(({ path, init }) => [path, init.method, init.body, init.headers.Authorization, Boolean(init.keepalive)]),
      cancelled ? [['/api/login/tickets/ticket1/cancel', 'POST', '{}', 'Bearer secret1', cancelled === 'keepalive']] : [])
  })
}

test('cancel: repeated until it is answered; the state says who ended it', async (t) => {
  const l = await login(t)
  l.page.cancel()
  assert.deepEqual([l.now.state, l.now.reason], ['rejected', 'cancelled_here'])
  await l.clock.advance(250)
  assert.equal(l.hub.cancels.length, 2)
  l.hub.cancels[1].answer(200, { state: 'rejected' })
  await l.clock.advance(600000)
  assert.equal(l.hub.cancels.length, 2)
  assert.equal(l.hub.created, 1)
})

test('view: why the ticket ended, and what the code is for', async (t) => {
  const l = await login(t)
  l.hub.socket.sendView({ state: 'rejected', seq: 2, reason: 'wrong_number' })
  assert.deepEqual([l.now.state, l.now.reason], ['rejected', 'wrong_number'])
})

test('"not me": the old ticket’s messages are ignored', async (t) => {
  const tokens = []
  const l = await login(t, { onToken: (token) => tokens.push(token) })
  const old = l.hub.socket
  old.sendView(scanned)
  l.page.refresh()
  await settle()
  old.sendView(confirmed)
  await settle()
  assert.deepEqual(tokens, [])
  assert.equal(l.now.state, 'pending')
  assert.equal(old.readyState, 3)
  assert.equal(l.hub.socket.url, 'wss://hub.test/api/login/tickets/ticket2/ws')
})

for (const [hub, base] of [
  ['https://hub.test', 'https://hub.test/'], ['https://hub.test/', 'https://hub.test/'], ['https://hub.test//', 'https://hub.test/'],
  ['https://hub.test/hub', 'https://hub.test/hub/'], ['https://hub.test/a/hub/?x=1#y', 'https://hub.test/a/hub/'],
]) {
  test(`hub URL: ${hub} gives ${base}`, async (t) => {
    const hubs = new Hub()
    const fetch = (url, init) => hubs.fetch(url.replace(base, 'https://hub.test/'), init)
    const urls = []
    const l = await login(t, { hub, fetch: (url, init) => { urls.push(url); return fetch(url, init) } })
    await l.clock.advance(2500)
    assert.deepEqual(urls, [`${base}api/login/tickets`, `${base}api/login/tickets/ticket1/poll?after=0&wait=25`])
    assert.equal(l.hub.socket.url, `${base.replace('https', 'wss')}api/login/tickets/ticket1/ws`)
    assert.equal(l.now.qrImage, `${base}api/login/tickets/ticket1/qr.svg`)
  })
}

test('hub URL: an invalid one throws', () => {
  assert.throws(() => createLogin({ hub: 'https://' }), TypeError)
})
