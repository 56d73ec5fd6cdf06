import assert from 'node:assert/strict'
import { waitFor } from '../hub.js'
import { PHONE, browserTest, inState, onScreen, phonePath, scanAs } from '../browser.js'

// Sets the kill switch on one node's admin address.
async function setLoginEnabled(hub, enabled) {
  const [{ id }] = await (await fetch(`${hub.admin}/clients`)).json()
  const answer = await fetch(`${hub.admin}/clients/${id}/login`, {
    method: 'PUT', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ enabled }),
  })
  assert.equal(answer.status, 204)
}

const refused = { expected: /403/ } // the browser reports refused requests itself

browserTest('kill switch: waiting pages on all nodes and the phone show it', refused, async ({ hub, visit }) => {
  const pages = await Promise.all(Array.from({ length: 3 }, () => visit('/?lang=en'))) // nginx spreads them over the nodes
  const phone = await visit(await phonePath(pages[0]), PHONE)
  await scanAs(phone, 'Ann')
  await onScreen(phone, 'consent')
  await inState(pages[0], 'scanned')
  for (const page of pages.slice(1)) await inState(page, 'pending')

  await setLoginEnabled(hub, false)
  for (const page of pages) {
    await inState(page, 'error')
    assert.equal(await page.textContent('#status'), 'QR login is switched off')
  }
  await phone.click('#confirm')
  await onScreen(phone, 'disabled')

  await setLoginEnabled(hub, true)
  await waitFor(async () => { // nginx sends them to the nodes in turn
    const answers = await Promise.all(Array.from({ length: 8 }, () => fetch(`${hub.url}/api/login/tickets`, { method: 'POST' })))
    return answers.every((answer) => answer.status === 201)
  })
  await pages[0].click('#retry')
  const again = await visit(await phonePath(pages[0]), PHONE)
  await scanAs(again, 'Ann')
  await onScreen(again, 'consent')
  await again.click('#confirm')
  await inState(pages[0], 'done')
})
