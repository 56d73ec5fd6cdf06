import assert from 'node:assert/strict'
import { test } from 'node:test'
import { confirmed, consumed, login, pending, scanned, settle } from './fakes.js'

test('a black-holed socket costs 2.5 s, and the session remembers it', async (t) => {
  const l = await login(t)
  await l.clock.advance(2499)
  assert.equal(l.hub.calling('poll').length, 0)
  await l.clock.advance(1)
  const [poll] = l.hub.calling('poll')
  assert.match(poll.url, /poll\?after=0&wait=25$/)
  assert.equal(l.storage.size, 0, 'blocked before the poll proved it')
  poll.answer(200, pending)
  await settle()
  assert.match(l.hub.calling('poll')[1].url, /after=1&/)
  l.page.refresh()
  await settle()
  assert.equal(l.hub.sockets[0].readyState, 3, 'the old ticket keeps its socket')
  assert.equal(l.hub.calling('poll').length, 3, 'the next ticket waits for a socket again')
  assert.equal(l.hub.sockets.length, 2, 'the next ticket does not try a socket')
})

test('one slow handshake does not turn the session to polling', async (t) => {
  const l = await login(t)
  await l.clock.advance(2500)
  l.hub.calling('poll')[0].answer(200, pending)
  await l.clock.advance(500)
  l.hub.socket.says(pending)
  assert.ok(l.hub.calling('poll')[1].aborted, 'both transports go on')
  l.page.refresh()
  await settle()
  assert.equal(l.hub.calling('poll').length, 2, 'the next ticket polls at once')
  assert.equal(l.hub.sockets.length, 2)
})

test('a connection that polls tries a socket again after some minutes', async (t) => {
  const l = await login(t)
  l.hub.socket.drops(1006)
  for (let minutes = 0; l.hub.sockets.length === 1; minutes += 25 / 60) {
    assert.ok(minutes < 5, 'polls for good')
    l.hub.calling('poll').at(-1).answer(...(minutes ? [204] : [200, pending]))
    await l.clock.advance(25000)
  }
  l.hub.socket.says(scanned)
  assert.equal(l.now.state, 'scanned')
  assert.ok(l.hub.calling('poll').at(-1).aborted)
})

test('a poll that has seen a scan asks anew after each wait: Redis may have fallen back', async (t) => {
  const l = await login(t)
  l.hub.socket.drops(1006)
  const polls = () => l.hub.calling('poll')
  const wait = async (answer, view) => {
    await l.clock.advance(polls().at(-1).url.match(/wait=(\d+)/)[1] * 1000)
    polls().at(-1).answer(answer, view)
    await settle()
    return polls().at(-1).url
  }
  polls()[0].answer(200, pending)
  await settle()
  assert.match(await wait(204), /after=1&/, 'a pending ticket has no number to lose')
  assert.match(await wait(200, scanned), /after=2&wait=10$/)
  assert.match(await wait(204), /after=0&/)
  polls().at(-1).answer(200, { ...confirmed, seq: 2 })
  await settle()
  assert.equal(l.now.state, 'confirmed')
})

test('answers that are no views, and a seq that falls, are asked about with a pause', async (t) => {
  const l = await login(t, { random: () => 0.5 })
  l.hub.socket.drops(1006)
  const polls = () => l.hub.calling('poll')
  polls()[0].answer(200, scanned)
  await settle()
  for (const [said, next] of [[{}, /after=0&/], [scanned, /after=2&/], [pending, /after=1&/], [scanned, /after=2&/]]) {
    const before = polls().length
    polls().at(-1).answer(200, said)
    await settle()
    if (said !== scanned) {
      assert.equal(polls().length, before, `${JSON.stringify(said)} is asked about at once`)
      await l.clock.advance(1000)
    }
    assert.match(polls().at(-1).url, next)
  }
  assert.notEqual(l.now.state, 'error')
})

test('a slow socket that speaks first wins, and nothing is remembered', async (t) => {
  const l = await login(t)
  await l.clock.advance(2500)
  l.hub.socket.says(scanned)
  assert.equal(l.now.state, 'scanned')
  assert.ok(l.hub.calling('poll')[0].aborted)
  assert.equal(l.storage.size, 0)
})

test('a refused socket hands over to the poll at once', async (t) => {
  const l = await login(t)
  l.hub.socket.drops(1006)
  assert.equal(l.hub.calling('poll').length, 1)
  l.hub.calling('poll')[0].answer(200, scanned)
  await settle()
  assert.equal(l.now.state, 'scanned')
})

test('a browser that forbids sockets or storage logs in all the same', async (t) => {
  const l = await login(t, {
    WebSocket: class { constructor() { throw new DOMException('no', 'SecurityError') } },
    storage: () => { throw new DOMException('no', 'SecurityError') },
  })
  await l.clock.advance(0)
  l.hub.calling('poll')[0].answer(200, scanned)
  await settle()
  assert.equal(l.now.state, 'scanned')
})

test('with the network down sockets are not blamed, and both are tried again', async (t) => {
  const l = await login(t)
  l.hub.socket.drops(1006)
  l.hub.calling('poll')[0].fail()
  await settle()
  assert.equal(l.now.live, false)
  assert.equal(l.storage.size, 0)
  await l.clock.advance(500)
  assert.equal(l.hub.sockets.length, 2)
  l.hub.socket.says(pending)
  assert.equal(l.now.live, true)
})

test('45 s of silence are a dead line, a heartbeat is not silence', async (t) => {
  const l = await login(t)
  for (let i = 0; i < 5; i++) {
    l.hub.socket.says(pending)
    await l.clock.advance(20000)
  }
  assert.equal(l.hub.sockets.length, 1)
  await l.clock.advance(25500)
  assert.equal(l.hub.sockets.length, 2)
})

for (const [code, most] of [[1012, 2000], [1013, 2000], [1001, 1000], [1005, 1000], [1006, 1000], [1014, 1000]]) {
  test(`close code ${code} is retried within ${most} ms`, async (t) => {
    for (const random of [0, 0.999]) {
      const l = await login(t, { random: () => random })
      l.hub.socket.says(pending)
      l.hub.socket.drops(code)
      assert.equal(l.hub.sockets.length, 1)
      await l.clock.advance(Math.max(0, random * most - 1))
      assert.equal(l.hub.sockets.length, random ? 1 : 2)
      await l.clock.advance(1)
      assert.equal(l.hub.sockets.length, 2)
    }
  })
}

test('4001 is never retried', async (t) => {
  const l = await login(t)
  l.hub.socket.says(pending)
  l.hub.socket.drops(4001)
  await l.clock.advance(600000)
  assert.equal(l.now.error.code, 'replaced')
  assert.equal(l.hub.sockets.length, 1)
  assert.equal(l.hub.calling('poll').length, 0)
})

test('after a close code that promises nothing the poll tells the truth', async (t) => {
  const l = await login(t)
  l.hub.socket.says(pending)
  l.hub.socket.drops(1008)
  l.hub.calling('poll')[0].answer(200, scanned)
  await settle()
  assert.equal(l.now.state, 'scanned')
  assert.equal(l.hub.sockets.length, 1)
})

test('failing tries come ever later', async (t) => {
  const l = await login(t)
  const waits = []
  for (let i = 0; i < 7; i++) {
    l.hub.socket.drops(1006)
    l.hub.calling('poll').at(-1).fail()
    await settle()
    const tries = l.hub.sockets.length
    const since = l.clock.now()
    while (l.hub.sockets.length === tries) await l.clock.advance(100)
    waits.push(l.clock.now() - since)
  }
  assert.deepEqual(waits, [500, 1000, 2000, 4000, 4500, 4500, 4500])
})

test('the poll acknowledges by a request of its own, again until it is heard', async (t) => {
  const l = await login(t, { onToken() {} })
  l.storage.set('loginhub.sockets', 'blocked')
  l.page.refresh()
  await settle()
  l.hub.calling('poll')[0].answer(200, confirmed)
  await settle()
  const [ack] = l.hub.calling('ack')
  assert.equal(ack.init.method, 'POST')
  assert.equal(ack.init.headers.Authorization, 'Bearer secret2')
  assert.equal(ack.init.body, '{"seq":3}')
  ack.fail()
  await l.clock.advance(1000)
  l.hub.calling('poll').at(-1).answer(200, confirmed)
  await settle()
  l.hub.calling('ack')[1].answer(204)
  l.hub.calling('poll').at(-1).answer(200, consumed)
  await settle()
  assert.equal(l.now.state, 'consumed')
})

test('a poll that is told to wait waits, also when the network comes back', async (t) => {
  const l = await login(t)
  l.hub.socket.drops(1006)
  l.hub.calling('poll')[0].answer(503, { code: 'overloaded' }, { 'Retry-After': '7' })
  await settle()
  l.win.dispatchEvent(new Event('online'))
  await l.clock.advance(6999)
  assert.equal(l.hub.sockets.length, 1)
  await l.clock.advance(501)
  assert.equal(l.hub.sockets.length, 2)
})

test('an unknown ticket is renewed, a refused secret is an error', async (t) => {
  const l = await login(t)
  l.hub.socket.drops(1006)
  l.hub.calling('poll')[0].answer(404, { code: 'ticket_not_found' })
  await settle()
  assert.equal(l.hub.made, 2)
  l.hub.socket.drops(1006)
  l.hub.calling('poll')[1].answer(401, { code: 'invalid_secret' })
  await settle()
  assert.equal(l.now.error.code, 'invalid_secret')
})

test('polls that come back early and empty are spread', async (t) => {
  const l = await login(t)
  l.hub.socket.drops(1006)
  l.hub.calling('poll')[0].answer(204)
  await l.clock.advance(999)
  assert.equal(l.hub.calling('poll').length, 1)
  await l.clock.advance(1)
  assert.equal(l.hub.calling('poll').length, 2)
})

test('a poll that is never answered is given up, and asked again at most 10 s later', async (t) => {
  const l = await login(t)
  l.hub.socket.drops(1006)
  for (let polls = 1; polls < 12; polls++) {
    assert.equal(l.hub.calling('poll').length, polls)
    await l.clock.advance(polls <= 6 ? 2500 : polls === 7 ? 5000 : 10000)
    assert.equal(l.now.live, false)
    assert.ok(l.hub.calling('poll').filter((poll) => !poll.aborted).length <= 4)
  }
  assert.ok(l.hub.calling('poll')[0].aborted)
})
