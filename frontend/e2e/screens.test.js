import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { accessible, handset, inState, onScreen, phonePath, scanAs, story } from './story.js'

// Where the pictures go: SCREENS keeps them for a look at them one by one.
const dir = process.env.SCREENS || mkdtempSync(join(tmpdir(), 'loginhub-screens-'))
mkdirSync(dir, { recursive: true })
if (!process.env.SCREENS) process.on('exit', () => rmSync(dir, { recursive: true, force: true }))

/** Takes a page in every width, colour scheme and language; nothing may stick out sideways. */
async function shoot(page, name, widths = [360, 768, 1440]) {
  for (const language of ['zh-CN', 'en']) {
    while (await page.getAttribute('html', 'lang') !== language && await page.$('#language')) await page.click('#language')
    await accessible(page)
    for (const colorScheme of ['light', 'dark']) {
      for (const width of widths) {
        await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' })
        await page.setViewportSize({ width, height: width < 600 ? 740 : 900 })
        const sideways = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)
        const picture = `${name}-${width}-${colorScheme}-${language.slice(0, 2)}.png`
        assert.ok(sideways <= 0, `${picture} sticks out by ${sideways} px`)
        await page.screenshot({ path: join(dir, picture), fullPage: true })
      }
    }
  }
}

story('screens: every state of a login', {}, async ({ visit }) => {
  const page = await visit('/')
  const phone = await visit(await phonePath(page), { ...handset, isMobile: false, deviceScaleFactor: 1 })
  await page.$eval('#qr', (img) => img.decode())
  await shoot(page, 'pending')
  await shoot(phone, 'phone-name', [360, 768])
  await scanAs(phone, '小明')
  await onScreen(phone, 'consent')
  await inState(page, 'scanned')
  await shoot(page, 'scanned')
  await shoot(phone, 'phone-consent', [360, 768])
  await phone.click('#confirm')
  await onScreen(phone, 'confirmed')
  await inState(page, 'done')
  await shoot(page, 'done')
  await shoot(phone, 'phone-confirmed', [360, 768])
})

story('screens: rejected', {}, async ({ visit }) => {
  const page = await visit('/')
  const phone = await visit(await phonePath(page), handset)
  await scanAs(phone, '小明')
  await onScreen(phone, 'consent')
  await phone.click('#reject')
  await onScreen(phone, 'rejected')
  await inState(page, 'rejected')
  await shoot(page, 'rejected')
  await shoot(phone, 'phone-rejected', [360, 768])
})

story('screens: expired', { env: { LOGINHUB_TICKET_TTL: '1s' } }, async ({ visit }) => {
  const page = await visit('/')
  await page.waitForSelector('#renew', { state: 'visible', timeout: 30000 })
  await shoot(page, 'expired')
})

story('screens: error', { expected: /status of 403/ }, async ({ visit }) => {
  const page = await visit('/')
  await page.route('**/api/login/tickets', (route) => route.fulfill({
    status: 403,
    contentType: 'application/problem+json',
    json: { code: 'login_disabled', status: 403, title: 'Login disabled', detail: 'QR login is switched off for this site.' },
  }))
  await page.reload()
  await inState(page, 'error')
  await shoot(page, 'error')
  assert.equal(await page.textContent('#status'), 'QR login is switched off')
})

story('screens: API documentation', {}, async ({ visit }) => {
  await shoot(await visit('/docs'), 'docs', [360, 1440])
})
