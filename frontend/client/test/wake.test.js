import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Clock, confirmed, consumed, json, login, pending, scanned, settle } from './fakes.js'

/** Hides the page for 20 s. Timers and the monotonic clock stop during that time, as on iOS. */
function sleepHidden(l) {
  l.hide(true)
  l.clock.sleep(20000)
  l.doc.hidden = false
}

const wakeEvents = {
  visibilitychange: (l) => l.hide(false),
  pageshow: (l) => l.win.dispatchEvent(new Event('pageshow')),
  'pageshow from the cache': (l) => {
    l.win.dispatchEvent(new Event('pagehide'))
    l.win.dispatchEvent(Object.assign(new Event('pageshow'), { persisted: true }))
  },
  resume: (l) => l.doc.dispatchEvent(new Event('resume')),
  online: (l) => l.win.dispatchEvent(new Event('online')),
  'the wall clock alone': (l) => l.clock.advance(1000),
}

for (const [name, wake] of Object.entries(wakeEvents)) {
  test(`${name}: a poll replaces a dead socket`, async (t) => {
    const tokens = []
    const l = await login(t, { onToken: (token) => { tokens.push(token) } })
    l.hub.socket.sendView(pending)
    sleepHidden(l)
    await wake(l)
    const polls = l.hub.requests('poll')
    assert.equal(polls.length, 1, 'no poll at once, or more than one')
    assert.match(polls[0].url, /poll\?after=0&wait=0$/)
    polls[0].answer(200, confirmed)
    await settle()
    assert.deepEqual(tokens, ['T'])
    const [ack] = l.hub.requests('ack')
    assert.equal(ack?.init.body, '{"seq":3}', 'acknowledged over the dead socket')
    ack.answer(204)
    l.hub.requests('poll').at(-1).answer(200, consumed)
    await settle()
    assert.equal(l.now.state, 'consumed')
  })

  test(`${name}: a pending poll is replaced`, async (t) => {
    const l = await login(t, { onToken() {} })
    l.hub.socket.closeWith(1006)
    l.hub.requests('poll')[0].answer(200, pending)
    await settle()
    const held = l.hub.requests('poll')[1]
    sleepHidden(l)
    await wake(l)
    assert.ok(held.aborted)
    assert.match(l.hub.requests('poll')[2].url, /wait=0$/)
    l.hub.requests('poll')[2].answer(200, confirmed)
    await settle()
    assert.equal(l.now.state, 'confirmed')
  })

  test(`${name}: an unknown ticket is renewed at once`, async (t) => {
    const l = await login(t)
    l.hub.socket.sendView(pending)
    sleepHidden(l)
    await wake(l)
    l.hub.requests('poll')[0].answer(404, { code: 'ticket_not_found' })
    await settle()
    assert.equal(l.hub.created, 2)
    assert.equal(l.now.state, 'pending')
  })
}

test('wake: several events cause one poll', async (t) => {
  const l = await login(t)
  l.hub.socket.sendView(pending)
  sleepHidden(l)
  for (const type of ['resume', 'visibilitychange']) l.doc.dispatchEvent(new Event(type, { bubbles: true }))
  for (const type of ['pageshow', 'visibilitychange', 'online']) l.win.dispatchEvent(new Event(type))
  await l.clock.advance(249)
  assert.equal(l.hub.requests('poll').length, 1)
})

test('wake: a second one replaces the first check', async (t) => {
  const l = await login(t)
  l.hub.socket.sendView(pending)
  for (const hidden of [true, false, true, false]) l.hide(hidden) // and every clock stopped during that time
  const polls = l.hub.requests('poll')
  assert.deepEqual(polls.map((poll) => poll.aborted), [true, false])
})

test('check: repeated without an answer, with a new socket after 1 s', async (t) => {
  const l = await login(t, { onToken() {} })
  const polls = () => l.hub.requests('poll').map((poll) => (poll.aborted ? 'aborted' : 'open'))
  l.hub.socket.sendView(pending)
  sleepHidden(l)
  l.hide(false)
  await l.clock.advance(999)
  assert.deepEqual(polls(), ['open', 'open', 'open', 'open'])
  assert.equal(l.hub.sockets.length, 1, 'a short check opened a socket')
  await l.clock.advance(1)
  assert.equal(l.now.live, false)
  assert.deepEqual(polls(), ['aborted', 'open', 'open', 'open', 'open'])
  assert.deepEqual(l.hub.sockets.map((socket) => socket.readyState), [3, 0])
  l.hub.socket.sendView(confirmed)
  await settle()
  assert.equal(l.now.state, 'confirmed')
  assert.deepEqual(l.hub.socket.sent, [{ ack: 3 }])
  assert.ok(!polls().includes('open'))
})

test('check: the first answer ends the repetitions', async (t) => {
  const l = await login(t)
  l.hub.socket.sendView(pending)
  sleepHidden(l)
  l.hide(false)
  await l.clock.advance(500)
  const [first, second, third] = l.hub.requests('poll')
  first.fail()
  await settle()
  assert.equal(l.now.live, true, 'one failed request counts while others are pending')
  third.answer(200, scanned)
  await l.clock.advance(5000)
  assert.equal(l.now.state, 'scanned')
  assert.ok(second.aborted)
  assert.equal(l.hub.requests('poll').length, 4, 'more than the continuing long poll')
})

test('wake: replaces the socket after 25 s of silence and after a change of network', async (t) => {
  for (const [leave, wake] of [[30000, wakeEvents.visibilitychange], [0, wakeEvents.online], [0, wakeEvents['pageshow from the cache']]]) {
    const l = await login(t)
    l.hub.socket.sendView(pending)
    l.hide(true)
    l.clock.sleep(leave)
    l.doc.hidden = false
    wake(l)
    assert.deepEqual(l.hub.sockets.map((socket) => socket.readyState), [3, 0])
  }
})

test('check: a view of the old socket does not end it', async (t) => {
  const l = await login(t, { onToken() {} })
  l.hub.socket.sendView(pending)
  sleepHidden(l)
  l.hide(false)
  l.hub.socket.sendView(pending) // sent before the connection died
  const [check] = l.hub.requests('poll')
  assert.ok(!check.aborted)
  check.answer(200, pending)
  await settle()
  const held = l.hub.requests('poll')[1]
  assert.match(held.url, /after=1&wait=25$/, 'the socket alone is trusted')
  l.hub.socket.sendView(pending)
  assert.ok(held.aborted)
  assert.equal(l.hub.sockets.length, 1)
})

test('token: over both transports, passed once', async (t) => {
  let calls = 0
  const l = await login(t, { onToken: () => { calls++ } })
  l.hub.socket.sendView(pending)
  sleepHidden(l)
  l.hide(false)
  l.hub.socket.sendView(confirmed)
  l.hub.requests('poll')[0].answer(200, confirmed)
  await settle()
  assert.equal(calls, 1)
})

test('check: refused by a full node, the socket stays', async (t) => {
  const l = await login(t)
  l.hub.socket.sendView(pending)
  sleepHidden(l)
  l.hide(false)
  l.hub.requests('poll')[0].answer(503, { code: 'overloaded' }, { 'Retry-After': '2' })
  await settle()
  assert.equal(l.hub.socket.readyState, 1)
  assert.equal(l.now.live, true)
  await l.clock.advance(2500)
  assert.equal(l.hub.requests('poll').length, 2, 'the check was not repeated')
  assert.equal(l.hub.sockets.length, 1)
})

test('check: failed at once, repeated within 1 s', async (t) => {
  const l = await login(t, { random: () => 0.999 })
  l.hub.socket.sendView(pending)
  l.hub.socket.closeWith(1006)
  await l.clock.advance(1000)
  for (let fails = 0; fails < 5; fails++) { // waking up ends their pauses
    l.hub.socket.closeWith(1006)
    l.hub.requests('poll').at(-1).fail()
    await l.clock.advance(10000)
  }
  sleepHidden(l)
  l.hide(false)
  const sockets = l.hub.sockets.length
  l.hub.requests('poll').at(-1).fail()
  l.hub.socket.closeWith(1006)
  await l.clock.advance(1000)
  assert.equal(l.hub.sockets.length, sockets + 1)
})

test('wake: a pending creation is replaced once', async (t) => {
  const l = await login(t)
  const creations = () => l.hub.calls.filter((call) => call.path === '/api/login/tickets').length
  let answered
  l.hub.refuse = () => new Promise((done) => { answered = done })
  l.page.refresh()
  await settle()
  l.win.dispatchEvent(new Event('pageshow')) // of the page load, not a wake
  assert.equal(creations(), 2)
  sleepHidden(l)
  l.hub.refuse = undefined
  l.hide(false)
  l.win.dispatchEvent(new Event('pageshow'))
  answered(json(201, { ticket: 'late', secret: 's', state: 'pending', seq: 1, qr_image: '/late' }))
  await settle()
  assert.equal(creations(), 3)
  assert.equal(l.now.qrImage, 'https://hub.test/api/login/tickets/ticket2/qr.svg')
})

test('wake: a hidden tab does not renew its code', async (t) => {
  const l = await login(t)
  l.hide(true)
  l.hub.socket.sendView({ state: 'expired', seq: 2 })
  l.win.dispatchEvent(new Event('online'))
  await settle()
  assert.equal(l.hub.created, 1)
})

test('wake: the default wall clock is the system’s', async (t) => {
  let system = 1e12
  t.mock.method(Date, 'now', () => system)
  const l = await login(t, { clock: Object.assign(new Clock(), { wall: undefined }) })
  l.hub.socket.sendView(scanned)
  await l.clock.advance(5000)
  assert.equal(l.hub.requests('poll').length, 0)
  system += 60000
  await l.clock.advance(1000)
  assert.equal(l.hub.requests('poll').length, 1)
})

test('wake: from the cache during a Retry-After', async (t) => {
  const l = await login(t)
  l.hub.socket.closeWith(1006)
  l.hub.requests('poll')[0].answer(503, { code: 'store_unavailable' }, { 'Retry-After': '10' })
  await settle()
  wakeEvents['pageshow from the cache'](l)
  assert.equal(l.hub.requests('poll').length, 2, 'the closed connection is not opened again')
})

test('wake: targets that pass no event', async (t) => {
  const listeners = {}
  const target = { addEventListener: (type, run) => { listeners[type] = run } }
  const l = await login(t, { win: target, doc: { ...target, hidden: false } })
  l.hub.socket.sendView(pending)
  for (const type of ['pagehide', 'pageshow', 'online', 'visibilitychange']) listeners[type]()
  assert.equal(l.hub.requests('poll').length, 1)
})

test('online: a poll at once beside a socket from just before', async (t) => {
  const l = await login(t)
  await l.clock.advance(100)
  l.win.dispatchEvent(new Event('online'))
  assert.equal(l.hub.requests('poll').length, 1)
})
