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

const refusing = new Proxy()
refusing.mode = 'refuse'
// The browser reports the refused socket itself. No script can prevent that.
const socketFailed = /^WebSocket connection to .* failed/

browserTest('refused socket: the long poll takes over at once', { proxy: refusing, expected: socketFailed }, async ({ visit }) => {
  const upgrade = once(refusing, 'upgrade').then(() => Date.now())
  const poll = once(refusing, 'poll').then(() => Date.now())
  const page = await visit('/')
  assert.ok(await poll - await upgrade < 2000)
  await logIn(page, visit)
})

const ignoring = new Proxy()
ignoring.mode = 'ignore'

browserTest('unanswered socket: the long poll takes over after 2.5 s', { proxy: ignoring, expected: socketFailed }, async ({ visit }) => {
  const upgrade = once(ignoring, 'upgrade').then(() => Date.now())
  const poll = once(ignoring, 'poll').then(() => Date.now())
  const page = await visit('/')
  await inState(page, 'pending') // the code can be scanned during that time
  const waited = await poll - await upgrade
  assert.ok(waited > 2000 && waited < 4000, `the poll took over after ${waited} ms`)
  await logIn(page, visit)
  const again = once(ignoring, 'poll').then(() => Date.now())
  const tried = once(ignoring, 'upgrade').then(() => Date.now())
  await page.click('#not-me-done')
  const between = await again - await tried
  assert.ok(between < 1500, `the session did not record that sockets are blocked: ${between} ms`)
})

const cutting = new Proxy()

browserTest('dropped socket: reconnects and delivers the token', { proxy: cutting }, async ({ visit }) => {
  let polls = 0
  cutting.on('poll', () => polls++)
  const first = once(cutting, 'upgrade')
  const page = await visit('/')
  await first
  const phone = await visit(await phonePath(page), PHONE)
  await scanAs(phone, 'Ann')
  await inState(page, 'scanned')
  const second = once(cutting, 'upgrade')
  cutting.dropSockets()
  await onScreen(phone, 'consent')
  await phone.click('#confirm')
  await onScreen(phone, 'confirmed')
  await second
  await inState(page, 'done')
  assert.equal(polls, 0)
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
  browserTest(`wake: after dead connections the token arrives within 2 s (sockets: ${mode})`, { proxy, expected: socketFailed }, async ({ hub, visit, t }) => {
    const waits = once(proxy, mode === 'pass' ? 'upgrade' : 'poll')
    const page = await visit('/')
    const [ticket] = (await phonePath(page)).match(/[\w-]{22}/)
    await waits
    await setHidden(page, true)
    proxy.killSilently()
    assert.equal((await callAsPhone(hub.url, ticket, 'confirm', 'Ann')).state, 'confirmed')
    const visibleAt = Date.now()
    await setHidden(page, false)
    await page.waitForSelector('#login[data-state=confirmed], #login[data-state=done]')
    const duration = Date.now() - visibleAt
    t.diagnostic(`token after ${duration} ms`)
    assert.ok(duration < 2000, `token after ${duration} ms`)
    await inState(page, 'done')
  })
}
