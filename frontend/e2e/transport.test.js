import assert from 'node:assert/strict'
import { once } from 'node:events'
import { Proxy } from './proxy.js'
import { callAsPhone } from './phone.js'
import { PHONE, browserTest, inState, onScreen, phonePath, scanAs } from './browser.js'

async function logIn(page, visit) {
  const phone = await visit(await phonePath(page), PHONE)
  await scanAs(phone, 'Ann')
  await onScreen(phone, 'consent')
  await inState(page, 'scanned')
  await phone.click('#confirm')
  await inState(page, 'done')
  assert.equal(await page.textContent('[data-claim=sub]'), 'sandbox:Ann')
}

// Stops the page's clock: no timer of the page fires until runFor.
async function stopClock(page) {
  await page.clock.install()
  await page.clock.pauseAt(Date.now() + 1000)
}

const refusing = new Proxy()
refusing.mode = 'refuse'
// The browser reports the refused socket itself. No script can prevent that.
const socketFailed = /^WebSocket connection to .* failed/

browserTest('refused socket: the long poll takes over at once', { proxy: refusing, expected: socketFailed }, async ({ visit }) => {
  const poll = once(refusing, 'poll')
  const page = await visit('/', { prepare: stopClock })
  await poll
  await page.clock.resume()
  await logIn(page, visit)
})

const ignoring = new Proxy()
ignoring.mode = 'ignore'

browserTest('unanswered socket: the long poll takes over after 2.5 s', { proxy: ignoring, expected: socketFailed }, async ({ visit }) => {
  const upgrade = once(ignoring, 'upgrade')
  let polls = 0
  ignoring.on('poll', () => polls++)
  const page = await visit('/', { prepare: stopClock })
  await inState(page, 'pending') // the code can be scanned during that time
  await upgrade
  await page.clock.runFor(2400)
  assert.equal(polls, 0)
  const poll = once(ignoring, 'poll')
  await page.clock.runFor(200)
  await poll
  await page.clock.resume()
  await logIn(page, visit)
  await page.clock.pauseAt(Date.now() + 10000)
  const again = once(ignoring, 'poll') // the session has recorded that sockets are blocked
  await page.click('#not-me-done')
  await again
})

const cutting = new Proxy()

browserTest('dropped socket: reconnects and delivers the token', { proxy: cutting }, async ({ visit }) => {
  let polls = 0
  cutting.on('poll', () => polls++)
  const first = once(cutting, 'upgrade')
  let closed
  const page = await visit('/', {
    async prepare(opened) {
      opened.once('websocket', (socket) => { closed = socket.waitForEvent('close') })
      await stopClock(opened) // no socket is late, so no poll begins
    },
  })
  await first
  const phone = await visit(await phonePath(page), PHONE)
  await scanAs(phone, 'Ann')
  await inState(page, 'scanned')
  const second = once(cutting, 'upgrade')
  cutting.dropSockets()
  await closed
  await page.clock.runFor(1000) // the longest pause
  await second
  await onScreen(phone, 'consent')
  await phone.click('#confirm')
  await onScreen(phone, 'confirmed')
  await page.waitForSelector('#login[data-state=confirmed], #login[data-state=done]')
  assert.equal(polls, 0)
  await page.clock.resume()
  await inState(page, 'done')
})

// A headless page is never hidden, so the test imitates it. The dead connections are real, including
// those that the browser keeps for reuse.
const setHidden = (page, hidden) => page.evaluate((value) => {
  Object.defineProperty(document, 'hidden', { value, configurable: true })
  document.dispatchEvent(new Event('visibilitychange', { bubbles: true }))
}, hidden)

for (const mode of ['pass', 'refuse']) {
  const proxy = new Proxy()
  proxy.mode = mode
  browserTest(`wake: after dead connections the token arrives within 2 s (sockets: ${mode})`, { proxy, expected: socketFailed }, async ({ hub, visit }) => {
    const waits = once(proxy, mode === 'pass' ? 'upgrade' : 'poll')
    const page = await visit('/', { prepare: (opened) => opened.clock.install() })
    const [ticket] = (await phonePath(page)).match(/[\w-]{22}/)
    await waits
    await setHidden(page, true)
    proxy.killSilently()
    assert.equal((await callAsPhone(hub.url, ticket, 'confirm', 'Ann')).state, 'confirmed')
    await page.clock.pauseAt(Date.now() + 1000)
    await setHidden(page, false)
    for (let waited = 0; waited < 2000; waited += 100) await page.clock.runFor(100)
    await page.waitForSelector('#login[data-state=confirmed], #login[data-state=done]')
    await page.clock.resume()
    await inState(page, 'done')
  })
}
