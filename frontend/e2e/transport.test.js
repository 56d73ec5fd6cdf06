import assert from 'node:assert/strict'
import { once } from 'node:events'
import { Proxy } from './proxy.js'
import { phoneCalls } from './phone.js'
import { handset, inState, onScreen, phonePath, scanAs, story } from './story.js'

async function logIn(page, visit) {
  const phone = await visit(await phonePath(page), handset)
  await scanAs(phone, 'Ann')
  await onScreen(phone, 'consent')
  await inState(page, 'scanned')
  await phone.click('#confirm')
  await inState(page, 'done')
  assert.equal(await page.textContent('[data-claim=sub]'), 'sandbox:Ann')
}

const refusing = new Proxy()
refusing.mode = 'refuse'
// The browser itself reports the refused socket; no script can keep it from that.
const socketFailed = /^WebSocket connection to .* failed/

story('refused socket: the long poll takes over at once', { proxy: refusing, expected: socketFailed }, async ({ visit }) => {
  const upgrade = once(refusing, 'upgrade').then(() => Date.now())
  const poll = once(refusing, 'poll').then(() => Date.now())
  const page = await visit('/')
  assert.ok(await poll - await upgrade < 2000)
  await logIn(page, visit)
})

const hole = new Proxy()
hole.mode = 'hole'

story('unanswered socket: the long poll takes over after 2.5 s', { proxy: hole, expected: socketFailed }, async ({ visit }) => {
  const upgrade = once(hole, 'upgrade').then(() => Date.now())
  const poll = once(hole, 'poll').then(() => Date.now())
  const page = await visit('/')
  await inState(page, 'pending') // the code is there to be scanned meanwhile
  const waited = await poll - await upgrade
  assert.ok(waited > 2000 && waited < 4000, `took over after ${waited} ms`)
  await logIn(page, visit)
  const again = once(hole, 'poll').then(() => Date.now())
  const tried = once(hole, 'upgrade').then(() => Date.now())
  await page.click('#not-me-done')
  const between = await again - await tried
  assert.ok(between < 1500, `the session has forgotten that sockets are blocked: ${between} ms`)
})

const cutting = new Proxy()

story('dropped socket: reconnects and delivers the token', { proxy: cutting }, async ({ visit }) => {
  let polls = 0
  cutting.on('poll', () => polls++)
  const first = once(cutting, 'upgrade')
  const page = await visit('/')
  await first
  const phone = await visit(await phonePath(page), handset)
  await scanAs(phone, 'Ann')
  await inState(page, 'scanned')
  const second = once(cutting, 'upgrade')
  cutting.drop()
  await onScreen(phone, 'consent')
  await phone.click('#confirm')
  await onScreen(phone, 'confirmed')
  await second
  await inState(page, 'done')
  assert.equal(polls, 0)
})

// A headless page is never hidden by itself: the test says so. The dead connections are real, those
// that the browser keeps for reuse among them.
const setHidden = (page, hidden) => page.evaluate((value) => {
  Object.defineProperty(document, 'hidden', { value, configurable: true })
  document.dispatchEvent(new Event('visibilitychange', { bubbles: true }))
}, hidden)

for (const mode of ['pass', 'refuse']) {
  const dark = new Proxy()
  dark.mode = mode
  story(`wake: after dead connections the token arrives within 2 s (sockets: ${mode})`, { proxy: dark, expected: socketFailed }, async ({ hub, visit, t }) => {
    const waits = once(dark, mode === 'pass' ? 'upgrade' : 'poll')
    const page = await visit('/')
    const [ticket] = (await phonePath(page)).match(/[\w-]{22}/)
    await waits
    await setHidden(page, true)
    dark.darken()
    assert.equal((await phoneCalls(hub.url, ticket, 'confirm', 'Ann')).state, 'confirmed')
    const back = Date.now()
    await setHidden(page, false)
    await page.waitForSelector('#login[data-state=confirmed], #login[data-state=done]')
    const took = Date.now() - back
    t.diagnostic(`token after ${took} ms`)
    assert.ok(took < 2000, `token after ${took} ms`)
    await inState(page, 'done')
  })
}
