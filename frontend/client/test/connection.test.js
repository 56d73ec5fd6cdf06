import assert from 'node:assert/strict'
import { test } from 'node:test'
import { confirmed, consumed, login, pending, scanned, settle } from './fakes.js'

test('socket: after 2.5 s without a view the poll starts, and the session records it', async (t) => {
  const l = await login(t)
  await l.clock.advance(2499)
  assert.equal(l.hub.requests('poll').length, 0)
  await l.clock.advance(1)
  const [poll] = l.hub.requests('poll')
  assert.match(poll.url, /poll\?after=0&wait=25$/)
  assert.equal(l.storage.size, 0, 'recorded as blocked before a poll succeeded')
  poll.answer(200, pending)
  await settle()
  assert.match(l.hub.requests('poll')[1].url, /after=1&/)
  l.page.refresh()
  await settle()
  assert.equal(l.hub.sockets[0].readyState, 3, 'the old ticket kept its socket')
  assert.equal(l.hub.requests('poll').length, 3, 'the next ticket waited for its socket before polling')
  assert.equal(l.hub.sockets.length, 2, 'the next ticket did not try a socket')
})

test('socket: one slow handshake does not count as blocked', async (t) => {
  const l = await login(t)
  await l.clock.advance(2500)
  l.hub.requests('poll')[0].answer(200, pending)
  await l.clock.advance(500)
  l.hub.socket.sendView(pending)
  assert.ok(l.hub.requests('poll')[1].aborted, 'the poll continues after a view of the socket')
  l.page.refresh()
  await settle()
  assert.equal(l.hub.requests('poll').length, 2, 'the next ticket polled at once')
  assert.equal(l.hub.sockets.length, 2)
})

test('socket: tried again after minutes of polling', async (t) => {
  const l = await login(t)
  l.hub.socket.closeWith(1006)
  for (let minutes = 0; l.hub.sockets.length === 1; minutes += 25 / 60) {
    assert.ok(minutes < 5, 'no socket was tried again')
    l.hub.requests('poll').at(-1).answer(...(minutes ? [204] : [200, pending]))
    await l.clock.advance(25000)
  }
  l.hub.socket.sendView(scanned)
  assert.equal(l.now.state, 'scanned')
  assert.ok(l.hub.requests('poll').at(-1).aborted)
})

test('poll: after a scan each empty wait resets the seq, for a failover of Redis', async (t) => {
  const l = await login(t)
  l.hub.socket.closeWith(1006)
  const polls = () => l.hub.requests('poll')
  const wait = async (answer, view) => {
    await l.clock.advance(polls().at(-1).url.match(/wait=(\d+)/)[1] * 1000)
    polls().at(-1).answer(answer, view)
    await settle()
    return polls().at(-1).url
  }
  polls()[0].answer(200, pending)
  await settle()
  assert.match(await wait(204), /after=1&/, 'the seq was reset although the ticket is pending')
  assert.match(await wait(200, scanned), /after=2&wait=10$/)
  assert.match(await wait(204), /after=0&/)
  polls().at(-1).answer(200, { ...confirmed, seq: 2 })
  await settle()
  assert.equal(l.now.state, 'confirmed')
})

test('poll: pauses after an invalid view and after a lower seq', async (t) => {
  const l = await login(t, { random: () => 0.5 })
  l.hub.socket.closeWith(1006)
  const polls = () => l.hub.requests('poll')
  polls()[0].answer(200, scanned)
  await settle()
  for (const [body, next] of [[{}, /after=0&/], [scanned, /after=2&/], [pending, /after=1&/], [scanned, /after=2&/]]) {
    const before = polls().length
    polls().at(-1).answer(200, body)
    await settle()
    if (body !== scanned) {
      assert.equal(polls().length, before, `${JSON.stringify(body)} was followed by a poll at once`)
      await l.clock.advance(1000)
    }
    assert.match(polls().at(-1).url, next)
  }
  assert.notEqual(l.now.state, 'error')
})

test('socket: a view before the poll’s answer wins', async (t) => {
  const l = await login(t)
  await l.clock.advance(2500)
  l.hub.socket.sendView(scanned)
  assert.equal(l.now.state, 'scanned')
  assert.ok(l.hub.requests('poll')[0].aborted)
  assert.equal(l.storage.size, 0)
})

test('socket: refused, the poll starts at once', async (t) => {
  const l = await login(t)
  l.hub.socket.closeWith(1006)
  assert.equal(l.hub.requests('poll').length, 1)
  l.hub.requests('poll')[0].answer(200, scanned)
  await settle()
  assert.equal(l.now.state, 'scanned')
})

test('browser: forbidden sockets and storage do not prevent a login', async (t) => {
  const l = await login(t, {
    WebSocket: class { constructor() { throw new DOMException('no', 'SecurityError') } },
    storage: () => { throw new DOMException('no', 'SecurityError') },
  })
  await l.clock.advance(0)
  l.hub.requests('poll')[0].answer(200, scanned)
  await settle()
  assert.equal(l.now.state, 'scanned')
})

test('network down: sockets do not count as blocked, and both are tried again', async (t) => {
  const l = await login(t)
  l.hub.socket.closeWith(1006)
  l.hub.requests('poll')[0].fail()
  await settle()
  assert.equal(l.now.live, false)
  assert.equal(l.storage.size, 0)
  await l.clock.advance(500)
  assert.equal(l.hub.sockets.length, 2)
  l.hub.socket.sendView(pending)
  assert.equal(l.now.live, true)
})

test('socket: replaced after 45 s of silence, kept by heartbeats', async (t) => {
  const l = await login(t)
  for (let i = 0; i < 5; i++) {
    l.hub.socket.sendView(pending)
    await l.clock.advance(20000)
  }
  assert.equal(l.hub.sockets.length, 1)
  await l.clock.advance(25500)
  assert.equal(l.hub.sockets.length, 2)
})

for (const [code, max] of [[1012, 2000], [1013, 2000], [1001, 1000], [1005, 1000], [1006, 1000], [1014, 1000]]) {
  test(`close code ${code}: retried within ${max} ms`, async (t) => {
    for (const random of [0, 0.999]) {
      const l = await login(t, { random: () => random })
      l.hub.socket.sendView(pending)
      l.hub.socket.closeWith(code)
      assert.equal(l.hub.sockets.length, 1)
      await l.clock.advance(Math.max(0, random * max - 1))
      assert.equal(l.hub.sockets.length, random ? 1 : 2)
      await l.clock.advance(1)
      assert.equal(l.hub.sockets.length, 2)
    }
  })
}

test('close code 4001: never retried', async (t) => {
  const l = await login(t)
  l.hub.socket.sendView(pending)
  l.hub.socket.closeWith(4001)
  await l.clock.advance(600000)
  assert.equal(l.now.error.code, 'replaced')
  assert.equal(l.hub.sockets.length, 1)
  assert.equal(l.hub.requests('poll').length, 0)
})

test('close code 1008: the poll starts at once', async (t) => {
  const l = await login(t)
  l.hub.socket.sendView(pending)
  l.hub.socket.closeWith(1008)
  l.hub.requests('poll')[0].answer(200, scanned)
  await settle()
  assert.equal(l.now.state, 'scanned')
  assert.equal(l.hub.sockets.length, 1)
})

test('backoff: grows with each failure', async (t) => {
  const l = await login(t)
  const waits = []
  for (let i = 0; i < 7; i++) {
    l.hub.socket.closeWith(1006)
    l.hub.requests('poll').at(-1).fail()
    await settle()
    const tries = l.hub.sockets.length
    const since = l.clock.now()
    while (l.hub.sockets.length === tries) await l.clock.advance(100)
    waits.push(l.clock.now() - since)
  }
  assert.deepEqual(waits, [500, 1000, 2000, 4000, 4500, 4500, 4500])
})

test('poll: acknowledges by a request, repeated until answered', async (t) => {
  const l = await login(t, { onToken() {} })
  l.storage.set('loginhub.sockets', 'blocked')
  l.page.refresh()
  await settle()
  l.hub.requests('poll')[0].answer(200, confirmed)
  await settle()
  const [ack] = l.hub.requests('ack')
  assert.equal(ack.init.method, 'POST')
  assert.equal(ack.init.headers.Authorization, 'Bearer secret2')
  assert.equal(ack.init.body, '{"seq":3}')
  ack.fail()
  await l.clock.advance(1000)
  l.hub.requests('poll').at(-1).answer(200, confirmed)
  await settle()
  l.hub.requests('ack')[1].answer(204)
  l.hub.requests('poll').at(-1).answer(200, consumed)
  await settle()
  assert.equal(l.now.state, 'consumed')
})

test('acknowledgement: hanging requests, repeated on other connections', async (t) => {
  const l = await login(t, { onToken() {} })
  l.hub.socket.closeWith(1006)
  l.hub.requests('poll')[0].answer(200, confirmed)
  await l.clock.advance(500)
  const acks = l.hub.requests('ack')
  assert.equal(acks.length, 3)
  acks[0].fail()
  acks[2].answer(204)
  await l.clock.advance(1000)
  assert.equal(l.hub.requests('ack').length, 3, 'repeated after the answer')
  assert.ok(acks[1].aborted)
})

test('poll: follows Retry-After, also when the network returns', async (t) => {
  const l = await login(t)
  l.hub.socket.closeWith(1006)
  l.hub.requests('poll')[0].answer(503, { code: 'overloaded' }, { 'Retry-After': '7' })
  await settle()
  l.win.dispatchEvent(new Event('online'))
  await l.clock.advance(6999)
  assert.equal(l.hub.sockets.length, 1)
  await l.clock.advance(501)
  assert.equal(l.hub.sockets.length, 2)
})

test('poll: an unknown ticket is renewed, a refused secret is an error', async (t) => {
  const l = await login(t)
  l.hub.socket.closeWith(1006)
  l.hub.requests('poll')[0].answer(404, { code: 'ticket_not_found' })
  await settle()
  assert.equal(l.hub.created, 2)
  l.hub.socket.closeWith(1006)
  l.hub.requests('poll')[1].answer(401, { code: 'invalid_secret' })
  await settle()
  assert.equal(l.now.error.code, 'invalid_secret')
})

test('poll: pauses after an early empty answer', async (t) => {
  const l = await login(t)
  l.hub.socket.closeWith(1006)
  l.hub.requests('poll')[0].answer(204)
  await l.clock.advance(999)
  assert.equal(l.hub.requests('poll').length, 1)
  await l.clock.advance(1)
  assert.equal(l.hub.requests('poll').length, 2)
})

test('poll: without an answer another one follows within 10 s', async (t) => {
  const l = await login(t)
  l.hub.socket.closeWith(1006)
  for (let polls = 1; polls < 12; polls++) {
    assert.equal(l.hub.requests('poll').length, polls)
    await l.clock.advance(polls <= 6 ? 2500 : polls === 7 ? 5000 : 10000)
    assert.equal(l.now.live, false)
    assert.ok(l.hub.requests('poll').filter((poll) => !poll.aborted).length <= 4)
  }
  assert.ok(l.hub.requests('poll')[0].aborted)
})
