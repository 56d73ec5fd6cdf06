import assert from 'node:assert/strict'
import { test } from 'node:test'
import { confirmed, json, login, pending, scanned, settle } from './fakes.js'

const html = { 'Content-Type': 'text/html' }
const problem = { 'Content-Type': 'application/problem+json' }
const jsonAnswer = (status, body, type = 'application/json') => () => new Response(JSON.stringify(body), { status, headers: { 'Content-Type': type } })

// Answers of proxies, load balancers, captive portals and firewalls instead of the hub.
const otherAnswers = {
  'a restarting Traefik’s 404': () => new Response('404 page not found\n', { status: 404, headers: { 'Content-Type': 'text/plain' } }),
  'an ingress without endpoints': () => new Response('default backend - 404', { status: 404 }),
  'a firewall’s page': () => new Response('<h1>Forbidden</h1>', { status: 403, headers: html }),
  'a firewall’s JSON': jsonAnswer(403, { code: 'login_disabled' }),
  'a proxy’s 407': () => new Response('', { status: 407 }),
  'a proxy’s 408': () => new Response('', { status: 408 }),
  'a web server’s 410': () => new Response('', { status: 410, headers: html }),
  'a proxy’s 429': () => new Response('', { status: 429, headers: { 'Retry-After': '3600' } }),
  'a bad gateway': () => new Response('<h1>Bad Gateway</h1>', { status: 502, headers: html }),
  'a portal’s redirect': () => new Response(null, { status: 302, headers: { Location: 'http://portal.test/' } }),
  'a portal’s page': () => new Response('<h1>Welcome to the airport</h1>', { status: 200, headers: html }),
  'an empty success': () => new Response('', { status: 200 }),
  'another server’s JSON': jsonAnswer(200, { status: 'ok' }),
  'a JSON null': jsonAnswer(200, null),
  'a JSON text': jsonAnswer(200, 'pending'),
  'a view of another ticket': jsonAnswer(200, { ...confirmed, ticket: 'another' }),
  'an unknown state': jsonAnswer(200, { state: 'open', seq: 9 }),
  'a problem without a code': jsonAnswer(404, { title: 'Not Found', status: 404 }, 'application/problem+json'),
  'a problem with an unknown code': jsonAnswer(404, { code: 'NOT_FOUND' }, 'application/problem+json'),
  'a problem that is not JSON': () => new Response('<h1>', { status: 404, headers: problem }),
  'no answer': () => { throw new TypeError('Failed to fetch') },
}

function respond(request, answer) {
  try {
    request.respond(answer())
  } catch {
    request.fail()
  }
}

for (const [name, answer] of Object.entries(otherAnswers)) {
  test(`poll: after ${name} the ticket is kept`, async (t) => {
    const tokens = []
    const l = await login(t, { random: () => 0.999, onToken: (token) => { tokens.push(token) } })
    const polls = () => l.hub.requests('poll')
    l.hub.socket.closeWith(1006) // the handshake gets the same answer
    for (let tries = 1; tries < 20; tries++) {
      respond(polls().at(-1), answer)
      await settle()
      assert.deepEqual([l.now.state, l.now.live, l.hub.created], ['pending', false, 1])
      const since = l.clock.now()
      while (polls().length === tries) {
        await l.clock.advance(100)
        if (l.hub.socket.readyState === 0) l.hub.socket.closeWith(1006)
      }
      assert.ok(l.clock.now() - since <= 10000, `${l.clock.now() - since} ms until attempt ${tries + 1}`)
    }
    l.hub.requests('poll').at(-1).answer(200, confirmed)
    await settle()
    assert.deepEqual(tokens, ['T'])
  })

  test(`creation: after ${name} it is repeated`, async (t) => {
    const l = await login(t, { random: () => 0.999 })
    l.hub.refuse = async () => answer()
    l.page.refresh()
    await settle()
    for (let tries = 2; tries < 12; tries++) {
      assert.equal(l.hub.calls.length, tries)
      assert.deepEqual([l.now.state, l.now.live, l.now.error.foreign], ['error', false, true])
      assert.ok(l.now.retryIn <= 10)
      await l.clock.advance(l.now.retryIn * 1000)
    }
    l.hub.refuse = undefined
    await l.clock.advance(10000)
    assert.equal(l.now.state, 'pending')
  })

  test(`acknowledgement: after ${name} it is repeated`, async (t) => {
    const l = await login(t, { onToken() {} })
    l.hub.socket.closeWith(1006)
    l.hub.requests('poll')[0].answer(200, confirmed)
    await settle()
    const [ack] = l.hub.requests('ack')
    respond(ack, answer)
    await l.clock.advance(1000)
    assert.equal(l.now.state, 'confirmed')
    assert.equal(l.hub.requests('ack').length, 2)
  })
}

test('creation: after a 204 it is repeated', async (t) => {
  const l = await login(t)
  l.hub.refuse = () => new Response(null, { status: 204 })
  l.page.refresh()
  await settle()
  assert.equal(l.now.live, false)
  l.hub.refuse = undefined
  await l.clock.advance(10000)
  assert.equal(l.hub.created, 2)
})

test('poll: repeated early 204s count as disconnected', async (t) => {
  const l = await login(t)
  l.hub.socket.closeWith(1006)
  l.hub.requests('poll').at(-1).answer(200, pending)
  await settle()
  for (const live of [true, false]) {
    l.hub.requests('poll').at(-1).answer(204)
    await l.clock.advance(1000)
    assert.equal(l.states.some((state) => state.live === false), !live)
  }
})

test('socket: without a view the poll starts', async (t) => {
  const l = await login(t)
  for (const message of [{}, 'welcome', null, { state: 'open', seq: 2 }, { ...scanned, ticket: 'another' }]) l.hub.socket.sendView(message)
  assert.equal(l.now.state, 'pending')
  await l.clock.advance(2500)
  assert.equal(l.hub.requests('poll').length, 1)
})

for (const type of ['application/problem+json', 'application/problem+json; charset=utf-8', 'Application/Problem+JSON;v=1']) {
  test(`problem document: ${type} with a known code is the hub’s`, async (t) => {
    const refuse = async (status, code) => {
      const l = await login(t)
      l.hub.socket.closeWith(1006)
      l.hub.requests('poll')[0].respond(jsonAnswer(status, { code }, type)())
      await settle()
      return l
    }
    assert.equal((await refuse(404, 'ticket_not_found')).hub.created, 2)
    assert.equal((await refuse(410, 'ticket_expired')).hub.created, 2)
    for (const [status, code] of [[401, 'invalid_secret'], [403, 'origin_not_allowed'], [403, 'login_disabled'], [400, 'invalid_request']]) {
      assert.equal((await refuse(status, code)).now.error?.code, code)
    }
    for (const [status, code] of [[429, 'rate_limited'], [500, 'internal_error'], [503, 'store_unavailable'], [503, 'overloaded']]) {
      const { now, hub } = await refuse(status, code)
      assert.deepEqual([now.state, now.live, hub.created], ['pending', false, 1], code)
    }
  })
}

test('Retry-After: bounded', async (t) => {
  const l = await login(t, { random: () => 0.999 })
  l.hub.socket.closeWith(1006)
  l.hub.requests('poll')[0].answer(503, { code: 'store_unavailable' }, { 'Retry-After': '3600' })
  await l.clock.advance(9999)
  assert.equal(l.hub.sockets.length, 1)
  await l.clock.advance(1)
  assert.equal(l.hub.sockets.length, 2)
  l.hub.refuse = () => json(429, { code: 'rate_limited' }, { 'Retry-After': '3600' })
  l.page.refresh()
  await settle()
  assert.equal(l.now.retryIn, 61)
})

test('acknowledgement: a final refusal ends a login that the site accepted', async (t) => {
  for (const [status, code, state] of [[410, 'ticket_expired', 'consumed'], [404, 'ticket_not_found', 'consumed'], [409, 'not_confirmed', 'confirmed']]) {
    const l = await login(t, { onToken() {} })
    l.hub.socket.closeWith(1006)
    l.hub.requests('poll')[0].answer(200, confirmed)
    await settle()
    l.hub.requests('ack')[0].answer(status, { code })
    await l.clock.advance(20000)
    assert.equal(l.now.state, state, code)
    assert.equal(l.hub.requests('ack').length, 1)
  }
})

test('acknowledgement: without the hub an accepted login ends with the ticket', async (t) => {
  const l = await login(t, { onToken() {} })
  l.hub.socket.closeWith(1006)
  l.hub.requests('poll')[0].answer(200, confirmed)
  await settle()
  for (let second = 0; second < 59; second++) {
    assert.equal(l.now.state, 'confirmed')
    for (const request of l.hub.calls) request.fail?.()
    await l.clock.advance(1000)
  }
  await l.clock.advance(20000)
  assert.equal(l.now.state, 'consumed')
})

test('request: ends in time if fetch ignores the signal', async (t) => {
  const l = await login(t)
  l.hub.refuse = () => new Promise(() => {})
  l.page.refresh()
  await l.clock.advance(5000)
  assert.deepEqual([l.now.state, l.now.error?.code], ['error', 'network'])
})
