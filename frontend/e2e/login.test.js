import assert from 'node:assert/strict'
import { PHONE, browserTest, chooseLanguage, inState, logIn, onScreen, phonePath, scanAs } from './browser.js'
import { waitFor } from './hub.js'
import { LANGUAGES, messages } from './messages.js'
import { callAsPhone } from './phone.js'

browserTest('login: the page shows the user of a verified token', {}, async ({ hub, visit }) => {
  let created
  const page = await visit('/', {
    prepare: (opened) => {
      created = opened.waitForResponse((answer) => answer.url().endsWith('/api/login/tickets')).then((answer) => answer.json())
    },
  })
  const path = await phonePath(page)
  assert.ok(await page.$eval('#qr', (img) => img.decode().then(() => img.naturalWidth > 0)), 'the code is not drawn')
  assert.match(await page.textContent('#time'), /\d:\d\d/)

  const phone = await visit(path, PHONE)
  await scanAs(phone, '小红')
  await onScreen(phone, 'consent')
  await inState(page, 'scanned')
  assert.match(await page.textContent('#face'), /小红/)
  assert.match(await phone.textContent('#browser'), /Chrom/)
  assert.ok(await phone.textContent('#site'))
  await phone.click('#confirm')
  await onScreen(phone, 'confirmed')

  await inState(page, 'done')
  assert.equal(await page.getAttribute('#login', 'data-result'), 'verified')
  assert.equal(await page.textContent('[data-claim=sub]'), 'sandbox:小红')
  assert.match(await page.textContent('#welcome'), /小红/)
  await waitForConsumed(hub, await created)
})

// The page may show the user before the acknowledgement arrives, so this waits by long poll.
async function waitForConsumed(hub, { ticket, secret }) {
  for (let after = 3; after < 5; after++) {
    const answer = await fetch(`${hub.url}/api/login/tickets/${ticket}/poll?after=${after}&wait=10`, {
      headers: { Authorization: `Bearer ${secret}` },
    })
    assert.equal(answer.status, 200)
    if ((await answer.json()).state === 'consumed') return
  }
  assert.fail('the token was not acknowledged')
}

browserTest('reject: the page offers another login', {}, async ({ visit }) => {
  const page = await visit('/?lang=en')
  const path = await phonePath(page)
  const phone = await visit(path, PHONE)
  await scanAs(phone, 'Ann')
  await onScreen(phone, 'consent')
  await phone.click('#reject')
  await onScreen(phone, 'rejected')
  await inState(page, 'rejected')
  assert.equal(await page.textContent('#status'), 'Cancelled on the phone')
  await page.click('#again')
  assert.notEqual(await phonePath(page), path)
})

browserTest('"not me": the other phone cannot confirm, and shows who cancelled', { expected: /status of 409/ }, async ({ visit }) => {
  const page = await visit('/')
  const path = await phonePath(page)
  const otherPhone = await visit(path, PHONE)
  await scanAs(otherPhone, 'Eve')
  await onScreen(otherPhone, 'consent')
  await inState(page, 'scanned')
  await page.click('#not-me')
  const newPath = await phonePath(page)
  assert.notEqual(newPath, path)
  await otherPhone.click('#confirm')
  await onScreen(otherPhone, 'cancelled')
  assert.equal(await otherPhone.textContent('#outcome'), '电脑端已取消')
  const phone = await visit(newPath, PHONE)
  await logIn(phone, page, 'Ann')
})

for (const [name, leave] of [
  ['is closed', (page) => page.close({ runBeforeUnload: true })],
  ['is reloaded', (page) => page.reload()],
]) {
  browserTest(`cancel: a page with a scanned code that ${name}`, {}, async ({ hub, visit }) => {
    const page = await visit('/')
    const [ticket] = (await phonePath(page)).match(/[\w-]{22}/)
    await callAsPhone(hub.url, ticket, 'scan', 'Ann')
    await inState(page, 'scanned')
    await leave(page)
    await waitFor(async () => (await callAsPhone(hub.url, ticket, 'scan', 'Ann')).code === 'ticket_closed')
    assert.equal((await callAsPhone(hub.url, ticket, 'confirm', 'Ann')).reason, 'cancelled_here')
  })
}

browserTest('reload: the page shows a new code that works', {}, async ({ visit }) => {
  const page = await visit('/')
  const path = await phonePath(page)
  await page.reload()
  const newPath = await phonePath(page)
  assert.notEqual(newPath, path)
  const phone = await visit(newPath, PHONE)
  await scanAs(phone, 'Ann')
  await onScreen(phone, 'consent')
  await phone.click('#confirm')
  await inState(page, 'done')
})

browserTest('language: a change keeps the ticket', {}, async ({ visit }) => {
  const page = await visit('/')
  const before = await phonePath(page)
  assert.equal(await page.getAttribute('html', 'lang'), 'zh-CN')
  assert.equal(await page.textContent('#status'), '等待扫码')
  for (const language of LANGUAGES.filter((tag) => tag !== 'en').concat('en')) {
    await chooseLanguage(page, language)
    assert.equal(await page.getAttribute('html', 'dir'), language === 'ar' ? 'rtl' : 'ltr')
    assert.equal(await page.textContent('#status'), messages[language].page.pending)
    assert.equal(await page.textContent('[data-t=step1]'), messages[language].page.step1)
  }
  const after = await phonePath(page)
  assert.equal(after.split('?')[0], before.split('?')[0])
  assert.match(page.url(), /lang=en/)
})

// As from another computer in the office: plain http has no WebCrypto.
browserTest('insecure context: the claims are shown as not verified', { host: 'hub.test' }, async ({ visit }) => {
  const page = await visit('/')
  assert.equal(await page.evaluate(() => isSecureContext), false)
  const phone = await visit(await phonePath(page), PHONE)
  await scanAs(phone, 'Ann')
  await onScreen(phone, 'consent')
  await phone.click('#confirm')
  await inState(page, 'done')
  assert.equal(await page.getAttribute('#login', 'data-result'), 'unverified')
  assert.equal(await page.textContent('[data-claim=sub]'), 'sandbox:Ann')
})
