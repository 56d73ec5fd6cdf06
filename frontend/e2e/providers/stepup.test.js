import assert from 'node:assert/strict'
import { PHONE, browserTest, inState, onScreen, phonePath, scanAs } from '../browser.js'

const ADDRESS = { extraHTTPHeaders: { 'X-Forwarded-For': '203.0.113.7' } } // nginx appends to it

// Logs Ann in on the page, and returns the number that page and phone show; '' for none.
async function logIn(page, visit) {
  const phone = await visit(await phonePath(page), { ...PHONE, ...ADDRESS })
  assert.ok(await page.isHidden('.match'))
  await scanAs(phone, 'Ann')
  await onScreen(phone, 'consent')
  await inState(page, 'scanned')
  const number = await page.isVisible('.match') ? await page.textContent('#match') : ''
  if (number) await phone.click(`#numbers label:has-text("${number}")`)
  assert.ok((await page.textContent('#spoken')).endsWith(number))
  await phone.click('#confirm')
  await inState(page, 'done')
  return number
}

browserTest('number_matching: auto: the number appears after the scan, and the browser needs none the second time', {
  clients: 'clients: [{id: demo, providers: [sandbox], number_matching: auto}]\n',
  nginx: (text) => text.replace('X-Forwarded-For $remote_addr', 'X-Forwarded-For $proxy_add_x_forwarded_for'),
}, async ({ visit }) => {
  const page = await visit('/', ADDRESS)
  const remembered = page.waitForResponse((answer) => answer.url().endsWith('/remember'))
  assert.match(await logIn(page, visit), /^\d\d$/)
  assert.equal((await remembered).status(), 204)
  await page.click('#not-me-done') // another ticket, without a new page
  assert.equal(await logIn(page, visit), '')
  assert.match(await logIn(await visit('/', ADDRESS), visit), /^\d\d$/) // another browser
})
