import assert from 'node:assert/strict'
import { PLACES } from './hub.js'
import { PHONE, accessible, browserTest, chooseLanguage, inState, onScreen, phonePath, scanAs } from './browser.js'
import { LANGUAGES, messages } from './messages.js'

const zh = messages['zh-CN'].phone

browserTest('second phone: sees that another user scanned', { expected: /status of 409/ }, async ({ visit }) => {
  const page = await visit('/')
  const path = await phonePath(page)
  const first = await visit(path, PHONE)
  const second = await visit(path, PHONE)
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

browserTest('phone reload: same consent screen, name kept', {}, async ({ visit }) => {
  const page = await visit('/')
  const phone = await visit(await phonePath(page), PHONE)
  await scanAs(phone, '小红')
  await onScreen(phone, 'consent')
  await phone.reload()
  assert.equal(await phone.inputValue('#name'), '小红')
  await phone.click('#scan')
  await onScreen(phone, 'consent')
  assert.equal(await phone.textContent('#same'), zh.same.undefined) // of one machine no address is known
  await phone.click('#confirm')
  await inState(page, 'done')
})

browserTest('forwarded picture: the phone shows the strong warning and the time left', {}, async ({ visit }) => {
  const page = await visit('/')
  const phone = await visit(await phonePath(page), PHONE)
  await phone.selectOption('#launch', '1012')
  await scanAs(phone, 'Ann')
  await onScreen(phone, 'consent')
  assert.equal(await phone.textContent('#risk'), zh.risks.pictureStrong)
  assert.match(await phone.textContent('#left'), /^[0-2]:\d\d$/)
  assert.match(await phone.textContent('#hosts'), /^127\.0\.0\.1:\d+$/)
  await accessible(phone)
})

/** Options for a hub behind another proxy: nginx appends to its X-Forwarded-For, so tests can set addresses. */
const addressMismatch = (policy) => ({
  env: { LOGINHUB_GEOIP_FILE: PLACES },
  nginx: (text) => text.replace('X-Forwarded-For $remote_addr', 'X-Forwarded-For $proxy_add_x_forwarded_for'),
  clients: `clients: [{id: demo, origins: [ORIGIN], address_mismatch: ${policy}}]\n`,
})
const SAME_NETWORK = { extraHTTPHeaders: { 'X-Forwarded-For': '203.0.113.7' } }
const OTHER_NETWORK = { extraHTTPHeaders: { 'X-Forwarded-For': '192.0.2.9' } } // at an unknown place
const FAR_AWAY = { extraHTTPHeaders: { 'X-Forwarded-For': '198.51.100.9' } }

browserTest('address_mismatch warn: the phone shows a strong warning in every language', addressMismatch('warn'), async ({ visit }) => {
  const page = await visit('/', SAME_NETWORK)
  const path = await phonePath(page)
  const remotePhone = await visit(path, { ...PHONE, ...OTHER_NETWORK })
  await scanAs(remotePhone, 'Ann')
  await onScreen(remotePhone, 'consent')
  for (const language of LANGUAGES) {
    await chooseLanguage(remotePhone, language)
    assert.equal(await remotePhone.textContent('#risk.strong:visible'), messages[language].phone.risks.networkStrong)
    assert.equal(await remotePhone.textContent('#same'), messages[language].phone.same.false)
    if (['zh-CN', 'ar'].includes(language)) await accessible(remotePhone)
  }
  // The warning of an unusual launch has priority. In the same network there is no warning.
  const picture = await visit(path, { ...PHONE, ...OTHER_NETWORK })
  await picture.selectOption('#launch', '1012')
  await scanAs(picture, 'Ann')
  await onScreen(picture, 'consent')
  assert.equal(await picture.textContent('#risk.strong:visible'), zh.risks.pictureStrong)
  const nearPhone = await visit(path, { ...PHONE, ...SAME_NETWORK })
  await scanAs(nearPhone, 'Ann')
  await onScreen(nearPhone, 'consent')
  assert.ok(await nearPhone.isHidden('#risk'))
  await remotePhone.click('#confirm') // a warning does not prevent the confirm
  await onScreen(remotePhone, 'confirmed')
  await inState(page, 'done')
})

browserTest('far away: the phone shows the place and a strong warning in every language', addressMismatch('warn'), async ({ visit }) => {
  const path = await phonePath(await visit('/', SAME_NETWORK))
  const phone = await visit(path, { ...PHONE, ...FAR_AWAY })
  for (const language of LANGUAGES) {
    await chooseLanguage(phone, language)
    await phone.reload() // to scan in that language
    await scanAs(phone, 'Ann')
    await onScreen(phone, 'consent')
    const { risks, place } = messages[language].phone
    assert.deepEqual([await phone.textContent('#risk.strong:visible'), await phone.textContent('#where dt')], [risks.farStrong, place])
    assert.equal(await phone.textContent('#place[data-far=true]'), language.startsWith('zh') ? '中国 上海' : 'Shanghai, China')
    assert.ok(await phone.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${language} is too wide`)
    if (['zh-CN', 'ar'].includes(language)) await accessible(phone)
  }
  const near = await visit(path, { ...PHONE, ...SAME_NETWORK })
  await scanAs(near, 'Ann')
  await onScreen(near, 'consent')
  assert.equal(await near.textContent('#place[data-far=false]'), '中国 上海')
  assert.ok(await near.isHidden('#risk'))
})

browserTest('address_mismatch refuse: the phone shows it, and the page keeps waiting', {
  ...addressMismatch('refuse'), expected: /status of 403/,
}, async ({ visit }) => {
  const page = await visit('/', SAME_NETWORK)
  const path = await phonePath(page)
  const remotePhone = await visit(path, { ...PHONE, ...OTHER_NETWORK })
  await scanAs(remotePhone, 'Ann')
  await onScreen(remotePhone, 'elsewhere')
  for (const language of LANGUAGES) {
    await chooseLanguage(remotePhone, language)
    assert.deepEqual([await remotePhone.textContent('#outcome'), await remotePhone.textContent('#outcome-hint')], messages[language].phone.elsewhere)
    if (['zh-CN', 'ar'].includes(language)) await accessible(remotePhone)
  }
  await inState(page, 'pending')
  const nearPhone = await visit(path, { ...PHONE, ...SAME_NETWORK })
  await scanAs(nearPhone, 'Ann')
  await onScreen(nearPhone, 'consent')
  await nearPhone.click('#confirm')
  await inState(page, 'done')
})

browserTest('consent: at 0:00 the phone shows that the code has expired', {}, async ({ visit }) => {
  const page = await visit('/')
  const phone = await visit(await phonePath(page), { ...PHONE, prepare: (opened) => opened.clock.install() })
  await scanAs(phone, 'Ann')
  await onScreen(phone, 'consent')
  await phone.clock.fastForward(121000)
  await onScreen(phone, 'expired')
  assert.ok(await phone.isHidden('#confirm') && await phone.isHidden('#reject'))
})

browserTest('phone offline: shown, and a retry repeats the call', { expected: /ERR_INTERNET_DISCONNECTED/ }, async ({ visit }) => {
  const page = await visit('/')
  const phone = await visit(await phonePath(page), PHONE)
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

browserTest('number matching: the right number confirms', { clients }, async ({ visit }) => {
  const page = await visit('/')
  const phone = await visit(await phonePath(page), PHONE)
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

browserTest('number matching: a wrong number rejects', { clients, expected: /status of 403/ }, async ({ visit }) => {
  const page = await visit('/')
  const phone = await visit(await phonePath(page), PHONE)
  const number = await page.textContent('#match')
  await scanAs(phone, 'Ann')
  await onScreen(phone, 'consent')
  await phone.click(`#numbers label:not(:has-text("${number}"))`)
  await phone.click('#confirm')
  await onScreen(phone, 'mismatch')
  await inState(page, 'rejected')
  assert.equal(await page.textContent('#status'), '手机上选错了数字，本次登录已取消')
})
