import assert from 'node:assert/strict'
import { words } from '../page/phone-words.js'
import { accessible, handset, inState, onScreen, phonePath, scanAs, story } from './story.js'

story('second phone: sees that another user scanned', { expected: /status of 409/ }, async ({ visit }) => {
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

story('phone reload: same consent screen, name kept', {}, async ({ visit }) => {
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

story('forwarded picture: the phone shows the strong warning and the time left', {}, async ({ visit }) => {
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

/** Two machines as a proxy in front of ours tells them apart; ours adds to its word. */
const apart = (policy) => ({
  nginx: (text) => text.replace('X-Forwarded-For $remote_addr', 'X-Forwarded-For $proxy_add_x_forwarded_for'),
  clients: `clients: [{id: demo, origins: [ORIGIN], address_mismatch: ${policy}}]\n`,
})
const HERE = { extraHTTPHeaders: { 'X-Forwarded-For': '203.0.113.7' } }
const ELSEWHERE = { extraHTTPHeaders: { 'X-Forwarded-For': '198.51.100.9' } }

story('address_mismatch warn: the phone shows a strong warning in every language', apart('warn'), async ({ visit }) => {
  const page = await visit('/', HERE)
  const path = await phonePath(page)
  const far = await visit(path, { ...handset, ...ELSEWHERE })
  await scanAs(far, 'Ann')
  await onScreen(far, 'consent')
  for (const language of ['zh', 'tw', 'en']) {
    assert.equal(await far.textContent('#risk.strong:visible'), words[language].risks.networkStrong)
    assert.equal(await far.textContent('#same'), words[language].same.false)
    await accessible(far)
    await far.click('#language')
  }
  // Words of a scene that is odd by itself are stronger; at home there is nothing to warn of.
  const picture = await visit(path, { ...handset, ...ELSEWHERE })
  await picture.selectOption('#launch', '1012')
  await scanAs(picture, 'Ann')
  await onScreen(picture, 'consent')
  assert.equal(await picture.textContent('#risk.strong:visible'), words.zh.risks.pictureStrong)
  const near = await visit(path, { ...handset, ...HERE })
  await scanAs(near, 'Ann')
  await onScreen(near, 'consent')
  assert.ok(await near.isHidden('#risk'))
  await far.click('#confirm') // a warning is no refusal
  await onScreen(far, 'confirmed')
  await inState(page, 'done')
})

story('address_mismatch refuse: the phone shows it, and the page keeps waiting', {
  ...apart('refuse'), expected: /status of 403/,
}, async ({ visit }) => {
  const page = await visit('/', HERE)
  const path = await phonePath(page)
  const far = await visit(path, { ...handset, ...ELSEWHERE })
  await scanAs(far, 'Ann')
  await onScreen(far, 'elsewhere')
  for (const language of ['zh', 'tw', 'en']) {
    assert.deepEqual([await far.textContent('#outcome'), await far.textContent('#outcome-hint')], words[language].elsewhere)
    await accessible(far)
    await far.click('#language')
  }
  await inState(page, 'pending')
  const near = await visit(path, { ...handset, ...HERE })
  await scanAs(near, 'Ann')
  await onScreen(near, 'consent')
  await near.click('#confirm')
  await inState(page, 'done')
})

story('phone offline: shown, and a retry repeats the call', { expected: /ERR_INTERNET_DISCONNECTED/ }, async ({ visit }) => {
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

story('number matching: the right number confirms', { clients }, async ({ visit }) => {
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

story('number matching: a wrong number rejects', { clients, expected: /status of 403/ }, async ({ visit }) => {
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
