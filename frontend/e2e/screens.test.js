import assert from 'node:assert/strict'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { waitFor } from './hub.js'
import { callAsPhone } from './phone.js'
import { sitePolicy } from './site.js'
import { PHONE, accessible, browserTest, chooseLanguage, inState, onScreen, phonePath, scanAs } from './browser.js'
import { LANGUAGES } from './messages.js'

// The directory of the screenshots. Without it none are taken.
const directory = process.env.SCREENS
if (directory) mkdirSync(directory, { recursive: true })

/** Checks every language, and each pair of language, colour scheme and width: the page is accessible and not wider than the window. */
async function checkScreens(page, name, widths = [360, 768, 1440]) {
  for (const language of await page.$('#language') ? [...LANGUAGES].sort().reverse() : ['en']) {
    if (await page.$('#language')) await chooseLanguage(page, language)
    if (['zh-CN', 'en', 'ar'].includes(language)) await accessible(page)
    // Chinese and English have the shortest and the longest texts of most; the others are shown where space is least.
    const shown = ['zh-CN', 'en'].includes(language) ? widths : [320]
    for (const [i, width] of shown.entries()) {
      const colorScheme = (i + (language === 'en')) % 2 ? 'dark' : 'light'
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' })
      await page.setViewportSize({ width, height: width < 600 ? 740 : 900 })
      const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)
      const picture = `${name}-${width}-${colorScheme}-${language}.png`
      assert.ok(overflow <= 0, `${picture} is ${overflow} px too wide`)
      if (directory) await page.screenshot({ path: join(directory, picture), fullPage: true })
    }
  }
}

browserTest('screens: every state of a login', {}, async ({ visit }) => {
  const page = await visit('/')
  const phone = await visit(await phonePath(page), { ...PHONE, isMobile: false, deviceScaleFactor: 1 })
  await page.$eval('#qr', (img) => img.decode())
  await checkScreens(page, 'pending')
  await checkScreens(phone, 'phone-name', [360, 768])
  await scanAs(phone, '小明')
  await onScreen(phone, 'consent')
  await inState(page, 'scanned')
  await checkScreens(page, 'scanned')
  await checkScreens(phone, 'phone-consent', [360, 768])
  await phone.click('#confirm')
  await onScreen(phone, 'confirmed')
  await inState(page, 'done')
  await checkScreens(page, 'done')
  await checkScreens(phone, 'phone-confirmed', [360, 768])
})

browserTest('screens: rejected', {}, async ({ visit }) => {
  const page = await visit('/')
  const phone = await visit(await phonePath(page), PHONE)
  await scanAs(phone, '小明')
  await onScreen(phone, 'consent')
  await phone.click('#reject')
  await onScreen(phone, 'rejected')
  await inState(page, 'rejected')
  await checkScreens(page, 'rejected')
  await checkScreens(phone, 'phone-rejected', [360, 768])
})

browserTest('screens: expired', { env: { LOGINHUB_TICKET_TTL: '1s' } }, async ({ visit }) => {
  const page = await visit('/')
  await page.waitForSelector('#renew', { state: 'visible' })
  await checkScreens(page, 'expired')
})

browserTest('screens: error', { expected: /status of 403/ }, async ({ visit }) => {
  const page = await visit('/')
  await page.route('**/api/login/tickets', (route) => route.fulfill({
    status: 403,
    contentType: 'application/problem+json',
    json: { code: 'login_disabled', status: 403, title: 'Login disabled', detail: 'QR login is switched off for this site.' },
  }))
  await page.reload()
  await inState(page, 'error')
  await checkScreens(page, 'error')
  await chooseLanguage(page, 'en')
  assert.equal(await page.textContent('#status'), 'QR login is switched off')
})

// Texts from outside: names, a label and a site's address, at the hub's limit of 64 characters.
const NAMES = ['王'.repeat(16), 'W'.repeat(32), 'ض'.repeat(32), 'W'.repeat(64), '國'.repeat(64), 'سلام عليكم '.repeat(5)]
const longClients = `clients: [{id: demo, label: {zh: ${'國'.repeat(60)}, en: ${'W'.repeat(60)}}, origins: [SITE]}]
`

/** Lists what leaves the card, the avatar's circle, or the screen. */
const overflowing = (page, selector) => page.evaluate((selector) => {
  const host = document.querySelector(selector)
  const card = host.shadowRoot?.querySelector('.card') ?? host
  const box = card.getBoundingClientRect()
  const found = document.documentElement.scrollWidth > innerWidth ? ['the page is too wide'] : []
  for (const element of card.querySelectorAll('*')) {
    const { left, right, top, bottom, width } = element.getBoundingClientRect()
    if (!width || !element.checkVisibility()) continue
    if (left < box.left - 1 || right > box.right + 1 || top < box.top - 1 || bottom > box.bottom + 1) found.push(`${element.localName}.${element.className}`)
    const tile = element.closest('.tile')?.getBoundingClientRect()
    if (tile && (left < tile.left - 1 || right > tile.right + 1 || top < tile.top - 1 || bottom > tile.bottom + 1)) found.push(`${element.localName}.${element.className} leaves the tile`)
  }
  return found
}, selector)

browserTest('long names: nothing leaves the card, in either direction', { site: true, clients: longClients }, async ({ hub, site, visit }) => {
  site.policy = sitePolicy(hub.url)
  site.files = { '/': `<!doctype html><html lang="en"><script type="module" src="${hub.url}/assets/client/widget/login-qr.js"></script><login-qr client="demo"></login-qr></html>` }
  const [page, embedded] = [await visit('/?lang=en'), await visit(site.url)]
  const phone = await visit(await phonePath(page), { ...PHONE, locale: 'en' })
  await scanAs(phone, 'W'.repeat(32))
  await onScreen(phone, 'consent')
  const check = async (shown, selector, what) => {
    for (const dir of ['ltr', 'rtl']) {
      for (const width of [320, 768, 1440]) {
        await shown.setViewportSize({ width, height: 900 })
        await shown.evaluate((value) => { document.dir = value }, dir)
        assert.deepEqual(await overflowing(shown, selector), [], `${what} at ${width} px, ${dir}`)
      }
    }
  }
  await check(phone, '#phone', 'consent')
  for (const nickname of NAMES) {
    for (const [shown, selector, state, again] of [[page, '#login', '#login[data-state=', '#not-me'], [embedded, 'login-qr', 'login-qr .card[data-state=', 'login-qr .button:visible']]) {
      if (await shown.$(`${state}scanned]`)) await shown.click(again)
      await shown.waitForSelector(`${state}pending]`)
      const src = await shown.$eval(selector, (card) => (card.shadowRoot ?? card).querySelector('.tile img').src)
      const ticket = src.split('/').at(-2)
      await callAsPhone(hub.url, ticket, 'scan', 'Ann', { user: { nickname } })
      await shown.waitForSelector(`${state}scanned]`)
      await check(shown, selector, `${selector} with ${nickname}`)
      if (nickname !== NAMES.at(-1) || shown !== page) continue
      await callAsPhone(hub.url, ticket, 'confirm', 'Ann', { user: { nickname } })
      await inState(page, 'done')
      await check(page, '#login', 'the result')
    }
  }
})

browserTest('screens: API documentation', {}, async ({ visit }) => {
  await checkScreens(await visit('/docs'), 'docs', [360, 1440])
})

/** Reports whether an element is wholly in view, without scrolling. */
const inView = (page, selector) => page.$eval(selector, (element) => {
  const { left, top, right, bottom, width } = element.getBoundingClientRect()
  return width > 0 && left >= 0 && top >= 0 && right <= innerWidth && bottom <= innerHeight
})

// Small phones, and 1280×720, 1440×900 and 1280×1024 at 200 and 400 % zoom.
const SMALL = [[320, 568], [360, 640], [640, 360], [720, 450], [320, 256], [960, 540]]

browserTest('small screens: the whole code is in view', {}, async ({ visit }) => {
  const page = await visit('/')
  await page.$eval('#qr', (img) => img.decode())
  for (const [width, height] of SMALL) {
    await page.setViewportSize({ width, height })
    await waitFor(() => inView(page, '#qr')) // the page fits the code a few times a second
    assert.ok(await page.$eval('#qr', (img) => img.clientWidth >= 120), `the code is too small at ${width}×${height}`)
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `too wide at ${width}×${height}`)
  }
})

browserTest('small screens: the decision is in view', { clients: 'clients: [{id: demo, number_matching: true, grants: [device_code]}]' }, async ({ visit }) => {
  const page = await visit('/?lang=en')
  const phone = await visit(await phonePath(page), { ...PHONE, locale: 'en' })
  const check = async (selectors, sizes = SMALL) => {
    for (const [width, height] of sizes) {
      await phone.setViewportSize({ width, height })
      for (const selector of selectors) assert.ok(await inView(phone, selector), `${selector} at ${width}×${height}`)
    }
  }
  await check(['#scan'])
  await scanAs(phone, 'Ann')
  await onScreen(phone, 'consent')
  await check(['#confirm', '#reject'])
  await phone.keyboard.press('Tab')
  await phone.focus('#numbers input')
  assert.ok(await phone.evaluate(() => document.activeElement.nextElementSibling.getBoundingClientRect().bottom <= document.querySelector('#confirm').getBoundingClientRect().top), 'the buttons hide the focused number')
  await phone.goto(new URL('/device', phone.url()).href)
  await check(['form .button'], SMALL.filter(([, height]) => height > 300))
})
