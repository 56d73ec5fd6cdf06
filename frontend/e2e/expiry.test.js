import assert from 'node:assert/strict'
import { PHONE, browserTest, inState, onScreen, phonePath, scanAs } from './browser.js'

const env = { LOGINHUB_TICKET_TTL: '1s' }

browserTest('expired code: renewed by the page, then by a click', { env }, async ({ visit }) => {
  const codes = new Set()
  const isCode = (request) => request.url().endsWith('/qr.svg')
  const page = await visit('/?lang=en', {
    prepare: (opened) => opened.on('request', (request) => isCode(request) && codes.add(request.url())),
  })
  await page.waitForSelector('#renew', { state: 'visible' })
  assert.equal(codes.size, 6, 'the first code and five renewals')
  assert.equal(await page.textContent('#status'), 'This code has expired')
  await page.focus('#renew')
  await Promise.all([page.waitForRequest(isCode), page.keyboard.press('Enter')])
  await inState(page, 'pending')
})

browserTest('expired code: a late scan shows the screen', { env, expected: /status of 410/ }, async ({ visit }) => {
  const page = await visit('/')
  const path = await phonePath(page)
  const phone = await visit(path, PHONE)
  await page.waitForFunction((old) => document.getElementById('phone').getAttribute('href') !== old, path)
  await scanAs(phone, 'Ann')
  await onScreen(phone, 'expired')
})
