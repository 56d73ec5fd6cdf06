import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PHONE, accessible, browserTest, inState, onScreen, phonePath, scanAs } from './browser.js'

// The directory of the screenshots. The environment variable SCREENS keeps them.
const directory = process.env.SCREENS || mkdtempSync(join(tmpdir(), 'loginhub-screens-'))
mkdirSync(directory, { recursive: true })
if (!process.env.SCREENS) process.on('exit', () => rmSync(directory, { recursive: true, force: true }))

/** Takes screenshots in every width, colour scheme and language. The page must not be wider than the window. */
async function takeScreenshots(page, name, widths = [360, 768, 1440]) {
  for (const language of ['zh-CN', 'en']) {
    while (await page.getAttribute('html', 'lang') !== language && await page.$('#language')) await page.click('#language')
    await accessible(page)
    for (const colorScheme of ['light', 'dark']) {
      for (const width of widths) {
        await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' })
        await page.setViewportSize({ width, height: width < 600 ? 740 : 900 })
        const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)
        const picture = `${name}-${width}-${colorScheme}-${language.slice(0, 2)}.png`
        assert.ok(overflow <= 0, `${picture} is ${overflow} px too wide`)
        await page.screenshot({ path: join(directory, picture), fullPage: true })
      }
    }
  }
}

browserTest('screens: every state of a login', {}, async ({ visit }) => {
  const page = await visit('/')
  const phone = await visit(await phonePath(page), { ...PHONE, isMobile: false, deviceScaleFactor: 1 })
  await page.$eval('#qr', (img) => img.decode())
  await takeScreenshots(page, 'pending')
  await takeScreenshots(phone, 'phone-name', [360, 768])
  await scanAs(phone, '小明')
  await onScreen(phone, 'consent')
  await inState(page, 'scanned')
  await takeScreenshots(page, 'scanned')
  await takeScreenshots(phone, 'phone-consent', [360, 768])
  await phone.click('#confirm')
  await onScreen(phone, 'confirmed')
  await inState(page, 'done')
  await takeScreenshots(page, 'done')
  await takeScreenshots(phone, 'phone-confirmed', [360, 768])
})

browserTest('screens: rejected', {}, async ({ visit }) => {
  const page = await visit('/')
  const phone = await visit(await phonePath(page), PHONE)
  await scanAs(phone, '小明')
  await onScreen(phone, 'consent')
  await phone.click('#reject')
  await onScreen(phone, 'rejected')
  await inState(page, 'rejected')
  await takeScreenshots(page, 'rejected')
  await takeScreenshots(phone, 'phone-rejected', [360, 768])
})

browserTest('screens: expired', { env: { LOGINHUB_TICKET_TTL: '1s' } }, async ({ visit }) => {
  const page = await visit('/')
  await page.waitForSelector('#renew', { state: 'visible', timeout: 30000 })
  await takeScreenshots(page, 'expired')
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
  await takeScreenshots(page, 'error')
  assert.equal(await page.textContent('#status'), 'QR login is switched off')
})

browserTest('screens: API documentation', {}, async ({ visit }) => {
  await takeScreenshots(await visit('/docs'), 'docs', [360, 1440])
})
