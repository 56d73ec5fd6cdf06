import assert from 'node:assert/strict'
import { waitFor } from './hub.js'
import { callAsPhone } from './phone.js'
import { PHONE, browserTest, inState, onScreen, phonePath, scanAs } from './browser.js'

const ticketOf = async (page) => (await phonePath(page)).match(/\/s\/([^?]+)/)[1]

async function confirm(hub, page, name = 'Ann') {
  const { state } = await callAsPhone(hub.url, await ticketOf(page), 'confirm', name)
  assert.equal(state, 'confirmed')
}

async function loggedIn(page, name = 'Ann') {
  await inState(page, 'done')
  assert.equal(await page.textContent('[data-claim=sub]'), `sandbox:${name}`)
}

browserTest('killed node: another node delivers', { ownHub: true, expected: /WebSocket connection|status of 50[24]/ }, async ({ hub, visit }) => {
  await hub.nodes[1].stop() // so that the page connects to the other one
  const page = await visit('/')
  const phone = await visit(await phonePath(page), PHONE)
  await scanAs(phone, 'Ann')
  await inState(page, 'scanned')
  await onScreen(phone, 'consent')
  await hub.nodes[1].start()
  await hub.nodes[0].stop()
  // nginx uses a failed node again after 2 s.
  await waitFor(() => fetch(`${hub.url}/readyz`).then((answer) => answer.ok))
  await phone.click('#confirm')
  await onScreen(phone, 'confirmed')
  await loggedIn(page)
})

const socketFailed = /^WebSocket connection to .* failed/
const blocked = (conf) => conf.replace('(ws|poll)$ {', '(ws|poll)$ {\n if ($http_upgrade) { return 403; }')

browserTest('nginx without WebSocket: the long poll delivers', { nginx: blocked, expected: socketFailed }, async ({ hub, visit }) => {
  const page = await visit('/')
  await confirm(hub, page)
  await loggedIn(page)
})

browserTest('offline: the page has its token as soon as it is online', { expected: /ERR_INTERNET_DISCONNECTED/ }, async ({ hub, visit }) => {
  const page = await visit('/')
  const ticket = await ticketOf(page)
  await page.context().setOffline(true)
  const { state } = await callAsPhone(hub.url, ticket, 'confirm', 'Ann')
  assert.equal(state, 'confirmed')
  await page.context().setOffline(false)
  await loggedIn(page)
})

browserTest('two tabs: two logins', {}, async ({ hub, visit }) => {
  const one = await visit('/')
  const two = await visit('/', { context: one.context() })
  assert.notEqual(await ticketOf(one), await ticketOf(two))
  await confirm(hub, one, 'Ann')
  await confirm(hub, two, 'Bob')
  await loggedIn(one, 'Ann')
  await loggedIn(two, 'Bob')
})

browserTest('back: the page shows a code that works', {}, async ({ hub, visit }) => {
  const page = await visit('/')
  await ticketOf(page)
  await page.goto(`${hub.url}/s/AAAAAAAAAAAAAAAAAAAAAA`)
  await page.goBack({ waitUntil: 'commit' })
  await page.waitForURL(`${hub.url}/`)
  await inState(page, 'pending')
  await page.waitForFunction(() => document.getElementById('qr').naturalWidth > 0)
  await confirm(hub, page)
  await loggedIn(page)
})
