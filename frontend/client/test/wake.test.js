import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Clock, confirmed, consumed, json, login, pending, scanned, settle } from './fakes.js'

/** Somebody leaves the page for 20 s; timers and the monotonic clock stop meanwhile, as on iOS. */
function away(l) {
  l.hide(true)
  l.clock.sleep(20000)
  l.doc.hidden = false
}

const returns = {
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

for (const [name, comeBack] of Object.entries(returns)) {
  test(`${name}: a dead socket is not waited for`, async (t) => {
    const tokens = []
    const l = await login(t, { onToken: (token) => { tokens.push(token) } })
    l.hub.socket.says(pending)
    away(l)
    await comeBack(l)
    const polls = l.hub.calling('poll')
    assert.equal(polls.length, 1, 'not asked at once, or more than once')
    assert.match(polls[0].url, /poll\?after=0&wait=0$/)
    polls[0].answer(200, confirmed)
    await settle()
    assert.deepEqual(tokens, ['T'])
    const [ack] = l.hub.calling('ack')
    assert.equal(ack?.init.body, '{"seq":3}', 'acknowledged over the dead socket')
    ack.answer(204)
    l.hub.calling('poll').at(-1).answer(200, consumed)
    await settle()
    assert.equal(l.now.state, 'consumed')
  })

  test(`${name}: a poll that was held all the while is not waited for`, async (t) => {
    const l = await login(t, { onToken() {} })
    l.hub.socket.drops(1006)
    l.hub.calling('poll')[0].answer(200, pending)
    await settle()
    const held = l.hub.calling('poll')[1]
    away(l)
    await comeBack(l)
    assert.ok(held.aborted)
    assert.match(l.hub.calling('poll')[2].url, /wait=0$/)
    l.hub.calling('poll')[2].answer(200, confirmed)
    await settle()
    assert.equal(l.now.state, 'confirmed')
  })

  test(`${name}: a code that died meanwhile is replaced at once`, async (t) => {
    const l = await login(t)
    l.hub.socket.says(pending)
    away(l)
    await comeBack(l)
    l.hub.calling('poll')[0].answer(404, { code: 'ticket_not_found' })
    await settle()
    assert.equal(l.hub.made, 2)
    assert.equal(l.now.state, 'pending')
  })
}

test('several events of one return are one poll', async (t) => {
  const l = await login(t)
  l.hub.socket.says(pending)
  away(l)
  for (const type of ['resume', 'visibilitychange']) l.doc.dispatchEvent(new Event(type, { bubbles: true }))
  for (const type of ['pageshow', 'visibilitychange', 'online']) l.win.dispatchEvent(new Event(type))
  await l.clock.advance(249)
  assert.equal(l.hub.calling('poll').length, 1)
})

test('a second return does not wait for the check of the first', async (t) => {
  const l = await login(t)
  l.hub.socket.says(pending)
  for (const hidden of [true, false, true, false]) l.hide(hidden) // and every clock stopped meanwhile
  const polls = l.hub.calling('poll')
  assert.deepEqual(polls.map((poll) => poll.aborted), [true, false])
})

test('a check that hangs is repeated, after a second beside a fresh socket', async (t) => {
  const l = await login(t, { onToken() {} })
  const polls = () => l.hub.calling('poll').map((poll) => (poll.aborted ? 'aborted' : 'open'))
  l.hub.socket.says(pending)
  away(l)
  l.hide(false)
  await l.clock.advance(999)
  assert.deepEqual(polls(), ['open', 'open', 'open', 'open'])
  assert.equal(l.hub.sockets.length, 1, 'a glance costs a connection')
  await l.clock.advance(1)
  assert.equal(l.now.live, false)
  assert.deepEqual(polls(), ['aborted', 'open', 'open', 'open', 'open'])
  assert.deepEqual(l.hub.sockets.map((socket) => socket.readyState), [3, 0])
  l.hub.socket.says(confirmed)
  await settle()
  assert.equal(l.now.state, 'confirmed')
  assert.deepEqual(l.hub.socket.sent, [{ ack: 3 }])
  assert.ok(!polls().includes('open'))
})

test('the first answer to a check ends its repetitions', async (t) => {
  const l = await login(t)
  l.hub.socket.says(pending)
  away(l)
  l.hide(false)
  await l.clock.advance(500)
  const [first, second, third] = l.hub.calling('poll')
  first.fail()
  await settle()
  assert.equal(l.now.live, true, 'one lost request counts while others are under way')
  third.answer(200, scanned)
  await l.clock.advance(5000)
  assert.equal(l.now.state, 'scanned')
  assert.ok(second.aborted)
  assert.equal(l.hub.calling('poll').length, 4, 'more than the long poll that goes on')
})

test('after 25 s without a view, or with another network, the socket is replaced at once', async (t) => {
  for (const [leave, comeBack] of [[30000, returns.visibilitychange], [0, returns.online], [0, returns['pageshow from the cache']]]) {
    const l = await login(t)
    l.hub.socket.says(pending)
    l.hide(true)
    l.clock.sleep(leave)
    l.doc.hidden = false
    comeBack(l)
    assert.deepEqual(l.hub.sockets.map((socket) => socket.readyState), [3, 0])
  }
})

test('what an old socket still brings does not end the check, later it ends the poll', async (t) => {
  const l = await login(t, { onToken() {} })
  l.hub.socket.says(pending)
  away(l)
  l.hide(false)
  l.hub.socket.says(pending) // it was on the way when the connection died
  const [check] = l.hub.calling('poll')
  assert.ok(!check.aborted)
  check.answer(200, pending)
  await settle()
  const held = l.hub.calling('poll')[1]
  assert.match(held.url, /after=1&wait=25$/, 'the socket alone is trusted')
  l.hub.socket.says(pending)
  assert.ok(held.aborted)
  assert.equal(l.hub.sockets.length, 1)
})

test('a token over both transports is given once', async (t) => {
  let tries = 0
  const l = await login(t, { onToken: () => { tries++ } })
  l.hub.socket.says(pending)
  away(l)
  l.hide(false)
  l.hub.socket.says(confirmed)
  l.hub.calling('poll')[0].answer(200, confirmed)
  await settle()
  assert.equal(tries, 1)
})

test('a full node refuses the check, and the socket stays', async (t) => {
  const l = await login(t)
  l.hub.socket.says(pending)
  away(l)
  l.hide(false)
  l.hub.calling('poll')[0].answer(503, { code: 'overloaded' }, { 'Retry-After': '2' })
  await settle()
  assert.equal(l.hub.socket.readyState, 1)
  assert.equal(l.now.live, true)
  await l.clock.advance(2500)
  assert.equal(l.hub.calling('poll').length, 2, 'the check is given up')
  assert.equal(l.hub.sockets.length, 1)
})

test('a check that fails at once is repeated within a second', async (t) => {
  const l = await login(t, { random: () => 0.999 })
  l.hub.socket.says(pending)
  l.hub.socket.drops(1006)
  await l.clock.advance(1000)
  for (let fails = 0; fails < 5; fails++) { // their pauses are over with the return
    l.hub.socket.drops(1006)
    l.hub.calling('poll').at(-1).fail()
    await l.clock.advance(10000)
  }
  away(l)
  l.hide(false)
  const sockets = l.hub.sockets.length
  l.hub.calling('poll').at(-1).fail()
  l.hub.socket.drops(1006)
  await l.clock.advance(1000)
  assert.equal(l.hub.sockets.length, sockets + 1)
})

test('a creation that was under way all the while is begun again, once', async (t) => {
  const l = await login(t)
  const creations = () => l.hub.calls.filter((call) => call.path === '/api/login/tickets').length
  let answered
  l.hub.refuse = () => new Promise((done) => { answered = done })
  l.page.refresh()
  await settle()
  l.win.dispatchEvent(new Event('pageshow')) // of the load, no return
  assert.equal(creations(), 2)
  away(l)
  l.hub.refuse = undefined
  l.hide(false)
  l.win.dispatchEvent(new Event('pageshow'))
  answered(json(201, { ticket: 'late', secret: 's', state: 'pending', seq: 1, qr_image: '/late' }))
  await settle()
  assert.equal(creations(), 3)
  assert.equal(l.now.qrImage, 'https://hub.test/api/login/tickets/ticket2/qr.svg')
})

test('a hidden tab that comes online does not renew its code', async (t) => {
  const l = await login(t)
  l.hide(true)
  l.hub.socket.says({ state: 'expired', seq: 2 })
  l.win.dispatchEvent(new Event('online'))
  await settle()
  assert.equal(l.hub.made, 1)
})

test('without a wall clock of its own the clock is compared with the system’s', async (t) => {
  let system = 1e12
  t.mock.method(Date, 'now', () => system)
  const l = await login(t, { clock: Object.assign(new Clock(), { wall: undefined }) })
  l.hub.socket.says(scanned)
  await l.clock.advance(5000)
  assert.equal(l.hub.calling('poll').length, 0)
  system += 60000
  await l.clock.advance(1000)
  assert.equal(l.hub.calling('poll').length, 1)
})
