import assert from 'node:assert/strict'
import { words } from '../page/phone-words.js'
import { accessible, handset, inState, onScreen, phonePath, scanAs, story } from './story.js'

story('who comes second is told so, whatever the state', { expected: /status of 409/ }, async ({ visit }) => {
  const page = await visit('/')
  const path = await phonePath(page)
  const first = await visit(path, handset)
  const second = await visit(path, handset)
  await scanAs(first, 'Ann')
  await onScreen(first, 'consent')
  await scanAs(second, 'Bob')
  await onScreen(second, 'taken')
  await second.click('#back')
  await first.click('#confirm')
  await onScreen(first, 'confirmed')
  await scanAs(second, 'Bob')
  await onScreen(second, 'closed')
  await inState(page, 'done')
  assert.equal(await page.textContent('[data-claim=sub]'), 'sandbox:Ann')
})

story('a phone that opens the page again sees the same consent, and knows its name', {}, async ({ visit }) => {
  const page = await visit('/')
  const phone = await visit(await phonePath(page), handset)
  await scanAs(phone, '小红')
  await onScreen(phone, 'consent')
  await phone.reload()
  assert.equal(await phone.inputValue('#name'), '小红')
  await phone.click('#scan')
  await onScreen(phone, 'consent')
  await phone.click('#confirm')
  await inState(page, 'done')
})

story('a code from a forwarded picture: the strong warning of the mini-program, and the time left', {}, async ({ visit }) => {
  const page = await visit('/')
  const phone = await visit(await phonePath(page), handset)
  await phone.selectOption('#launch', '1012')
  await scanAs(phone, 'Ann')
  await onScreen(phone, 'consent')
  assert.equal(await phone.textContent('#risk'), words.zh.risks.pictureStrong)
  assert.match(await phone.textContent('#left'), /^[0-2]:\d\d$/)
  assert.match(await phone.textContent('#hosts'), /^127\.0\.0\.1:\d+$/)
  await accessible(phone)
})

story('without a network the phone says so, and a retry repeats the call', { expected: /ERR_INTERNET_DISCONNECTED/ }, async ({ visit }) => {
  const page = await visit('/')
  const phone = await visit(await phonePath(page), handset)
  await scanAs(phone, 'Ann')
  await onScreen(phone, 'consent')
  await phone.context().setOffline(true)
  await phone.click('#confirm')
  await onScreen(phone, 'offline')
  await phone.context().setOffline(false)
  await phone.click('#retry')
  await onScreen(phone, 'confirmed')
  await inState(page, 'done')
})

const clients = `
clients:
  - id: demo
    label: {zh: 演示, en: Demo}
    origins: [ORIGIN]
    providers: [sandbox]
    number_matching: true
`

story('with number matching the right number must be picked', { clients }, async ({ visit }) => {
  const page = await visit('/')
  const phone = await visit(await phonePath(page), handset)
  const number = await page.textContent('#match')
  assert.match(number, /^\d\d$/)
  await scanAs(phone, 'Ann')
  await onScreen(phone, 'consent')
  assert.ok(await phone.isDisabled('#confirm'))
  await phone.click(`#numbers label:has-text("${number}")`)
  await phone.click('#confirm')
  await onScreen(phone, 'confirmed')
  await inState(page, 'done')
})

story('a wrong number ends the login', { clients, expected: /status of 403/ }, async ({ visit }) => {
  const page = await visit('/')
  const phone = await visit(await phonePath(page), handset)
  const number = await page.textContent('#match')
  await scanAs(phone, 'Ann')
  await onScreen(phone, 'consent')
  await phone.click(`#numbers label:not(:has-text("${number}"))`)
  await phone.click('#confirm')
  await onScreen(phone, 'mismatch')
  await inState(page, 'rejected')
})
