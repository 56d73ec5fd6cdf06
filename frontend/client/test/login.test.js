import assert from 'node:assert/strict'
import { test } from 'node:test'
import { confirmed, consumed, expired, json, login, pending, scanned, settle } from './fakes.js'

test('a login goes from the code to the acknowledged token', async (t) => {
  let taken
  const tokens = []
  const l = await login(t, {
    onToken: (token) => {
      tokens.push(token)
      return new Promise((done) => { taken = done })
    },
  })
  const { hub } = l
  assert.deepEqual(JSON.parse(hub.calls[0].init.body), { client_id: 'demo', nonce: 'n' })
  assert.equal(l.now.qrImage, 'https://hub.test/api/login/tickets/ticket1/qr.svg')
  for (const view of [pending, scanned, confirmed]) hub.socket.says(view)
  await settle()
  assert.deepEqual(tokens, ['T'])
  assert.deepEqual(hub.socket.sent, [], 'acknowledged before the handler had the token')
  taken()
  await settle()
  assert.deepEqual(hub.socket.sent, [{ ack: 3 }])
  hub.socket.says(consumed)
  hub.socket.drops(1000)
  await l.clock.advance(600000)
  assert.deepEqual(l.states.map((s) => s.state), ['making', 'pending', 'pending', 'scanned', 'confirmed', 'consumed'])
  assert.equal(hub.sockets.length, 1, 'connected again after the end')
  assert.equal(hub.calls.length, 1)
})

test('the secret is in no URL', async (t) => {
  const l = await login(t)
  await l.clock.advance(2500)
  assert.deepEqual(l.hub.socket.protocols, ['loginhub.v1', 'loginhub.secret.secret1'])
  assert.equal(l.hub.calling('poll')[0].init.headers.Authorization, 'Bearer secret1')
  for (const { url } of [...l.hub.calls, ...l.hub.sockets]) assert.ok(!url.includes('secret'), url)
})

test('a token that the site did not take is not acknowledged but handed over again', async (t) => {
  let tries = 0
  const l = await login(t, { onToken: async () => { if (++tries === 1) throw new Error('site is down') } })
  l.hub.socket.says(confirmed)
  await l.clock.advance(1000)
  assert.equal(l.hub.sockets.length, 2)
  assert.deepEqual(l.hub.sockets[0].sent, [])
  l.hub.socket.says(confirmed)
  await settle()
  assert.equal(tries, 2)
  assert.deepEqual(l.hub.socket.sent, [{ ack: 3 }])
})

test('a repeated token is handed over once and acknowledged each time', async (t) => {
  let tries = 0
  const l = await login(t, { onToken: () => { tries++ } })
  l.hub.socket.says(confirmed)
  await settle()
  l.hub.socket.drops(1006)
  await l.clock.advance(1000)
  l.hub.socket.says(confirmed)
  await settle()
  assert.equal(tries, 1)
  assert.deepEqual(l.hub.sockets.map((s) => s.sent), [[{ ack: 3 }], [{ ack: 3 }]])
})

test('a lost acknowledgement does not bring a new code to a user who is in', async (t) => {
  const l = await login(t, { onToken() {} })
  l.hub.socket.says(confirmed)
  await settle()
  l.hub.socket.says({ ...expired, seq: 4 })
  await settle()
  assert.equal(l.now.state, 'consumed')
  assert.equal(l.hub.made, 1)
})

test('an older view never takes back a newer one', async (t) => {
  const l = await login(t)
  l.hub.socket.says(scanned)
  l.hub.socket.says(pending)
  assert.equal(l.now.state, 'scanned')
})

test('a handler that throws stops nothing', async (t) => {
  const l = await login(t)
  const thrown = []
  const { clock } = l
  const later = clock.setTimeout
  clock.setTimeout = (run, ms) => later(() => { try { run() } catch (err) { thrown.push(err.message) } }, ms)
  l.states.push = () => { throw new Error('mistake of the site') }
  l.hub.socket.says(scanned)
  delete l.states.push
  l.hub.socket.says({ ...scanned, state: 'rejected', seq: 3 })
  await clock.advance(0)
  assert.equal(l.now.state, 'rejected')
  assert.deepEqual(thrown, ['mistake of the site'])
})

test('an expired ticket is renewed in place up to the limit, then only by the user', async (t) => {
  const l = await login(t, { renewals: 2 })
  for (let i = 0; i < 3; i++) {
    l.hub.socket.says(expired)
    await settle()
  }
  assert.equal(l.hub.made, 3)
  assert.equal(l.now.state, 'expired')
  l.show(false)
  await l.clock.advance(600000)
  assert.equal(l.hub.made, 3)
  l.page.refresh()
  await settle()
  assert.equal(l.now.state, 'pending')
  l.hub.socket.says(expired)
  await settle()
  assert.equal(l.hub.made, 5, 'the limit counts anew for the user who is there')
})

test('the countdown alone renews nothing', async (t) => {
  const l = await login(t)
  l.hub.socket.says({ ...pending, expires_in: 30 })
  assert.equal(l.page.remaining, 30)
  await l.clock.advance(29001)
  assert.equal(l.page.remaining, 1)
  await l.clock.advance(10000)
  assert.equal(l.page.remaining, 0)
  assert.equal(l.now.state, 'pending')
  assert.equal(l.hub.made, 1)
})

test('a hidden tab renews when it is seen again', async (t) => {
  const l = await login(t)
  l.show(true)
  l.hub.socket.says(expired)
  await l.clock.advance(600000)
  assert.equal(l.hub.made, 1)
  assert.equal(l.now.state, 'expired')
  l.show(false)
  await settle()
  assert.equal(l.hub.made, 2)
  assert.equal(l.now.state, 'pending')
})

test('a refused ticket is asked for again when the hub says, not before', async (t) => {
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

test('without a network the making goes on as soon as it is back', async (t) => {
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

test('a refusal that will not pass is final', async (t) => {
  const l = await login(t)
  l.hub.refuse = () => json(403, { code: 'origin_not_allowed' })
  l.page.refresh()
  await l.clock.advance(600000)
  assert.equal(l.now.error.code, 'origin_not_allowed')
  assert.equal(l.hub.calls.length, 2)
})

test('after "not me" nothing of the old ticket is heard', async (t) => {
  const tokens = []
  const l = await login(t, { onToken: (token) => tokens.push(token) })
  const old = l.hub.socket
  old.says(scanned)
  l.page.refresh()
  await settle()
  old.says(confirmed)
  await settle()
  assert.deepEqual(tokens, [])
  assert.equal(l.now.state, 'pending')
  assert.equal(old.readyState, 3)
  assert.equal(l.hub.socket.url, 'wss://hub.test/api/login/tickets/ticket2/ws')
})
