import assert from 'node:assert/strict'
import { once } from 'node:events'
import { Proxy } from './proxy.js'
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

story('where sockets are refused the long poll takes over at once and delivers', { proxy: refusing, expected: socketFailed }, async ({ visit }) => {
  const upgrade = once(refusing, 'upgrade').then(() => Date.now())
  const poll = once(refusing, 'poll').then(() => Date.now())
  const page = await visit('/')
  assert.ok(await poll - await upgrade < 2000)
  await logIn(page, visit)
  const again = once(refusing, 'poll').then(() => 'poll')
  const tried = once(refusing, 'upgrade').then(() => 'upgrade')
  await page.click('#not-me-done')
  assert.equal(await Promise.race([again, tried]), 'poll', 'the session has forgotten that sockets are blocked')
})

const hole = new Proxy()
hole.mode = 'hole'

story('a black-holed socket costs about 2.5 s, then the long poll delivers', { proxy: hole, expected: socketFailed }, async ({ visit }) => {
  const upgrade = once(hole, 'upgrade').then(() => Date.now())
  const poll = once(hole, 'poll').then(() => Date.now())
  const page = await visit('/')
  await inState(page, 'pending') // the code is there to be scanned meanwhile
  const waited = await poll - await upgrade
  assert.ok(waited > 2000 && waited < 4000, `took over after ${waited} ms`)
  await logIn(page, visit)
})

const cutting = new Proxy()

story('a socket that is cut comes back, and the token with it', { proxy: cutting }, async ({ visit }) => {
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
