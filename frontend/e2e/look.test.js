import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { sitePolicy } from './site.js'
import { binary, tempDir } from './hub.js'
import { PHONE, accessible, browserTest, inState, onScreen, phonePath, scanAs } from './browser.js'

const clients = `clients: [{id: demo, label: {en: Demo}, origins: [SITE]}]
`

// The code on a screenshot is read and its modules are whole pixels, on a light page and on a dark one.
for (const scale of [1, 1.25, 1.5, 2]) {
  browserTest(`QR code: sharp and read on a screen of scale ${scale}`, { site: true, clients, scale }, async ({ hub, site, visit }) => {
    site.policy = sitePolicy(hub.url)
    site.files = { '/': `<!doctype html><html lang="en"><script type="module" src="${hub.url}/assets/client/widget/login-qr.js"></script><login-qr client="demo"></login-qr></html>` }
    const dir = tempDir('look')
    const shots = []
    for (const [url, selector] of [['/', '#qr'], [site.url, 'login-qr .code']]) {
      for (const colorScheme of ['light', 'dark']) {
        const page = await visit(url, { viewport: null, colorScheme, reducedMotion: 'reduce' })
        const code = page.locator(selector)
        await page.waitForFunction((img) => img.style.width && img.complete && img.naturalWidth, await code.elementHandle())
        const file = join(dir, `${shots.length}.png`)
        const { x, y, width: edge } = await code.boundingBox()
        const [left, top] = [x, y].map((at) => Math.ceil(at / 4 + 2) * 4) // inside the round corners, at whole pixels of the screen
        const size = Math.floor(edge / 4 - 5) * 4
        await page.screenshot({ path: file, scale: 'device', clip: { x: left, y: top, width: size, height: size } })
        const pixels = await code.evaluate((img) => Math.floor(img.parentElement.clientWidth * devicePixelRatio / img.naturalWidth))
        shots.push({ file, pixels, what: `${selector}, ${colorScheme}` })
      }
    }
    const lines = execFileSync(binary('READQR_BIN', './api/apitest/readqr'), shots.map(({ file }) => file), { encoding: 'utf8' }).trim().split('\n')
    for (const [i, { pixels, what }] of shots.entries()) {
      const [found, text] = lines[i].split(' ')
      assert.match(text, new RegExp(`^${hub.url}/s/[\\w-]{22}$`), what)
      assert.equal(Number(found), pixels, `${what}: pixels of a module`)
      assert.ok(pixels >= Math.floor(5 * scale), `${what}: ${pixels} pixels are too few for a camera`)
    }
  })
}

// What a screen reader says, in order. A text that is written twice would be read twice.
const recordSpoken = (page) => page.addInitScript(() => {
  globalThis.spoken = []
  addEventListener('DOMContentLoaded', () => {
    for (const region of document.querySelectorAll('#login [role=status]')) {
      new MutationObserver(() => region.textContent && globalThis.spoken.push(region.textContent)).observe(region, { subtree: true, childList: true, characterData: true })
    }
    new PerformanceObserver((list) => {
      for (const { value, hadRecentInput, sources } of list.getEntries()) {
        if (!hadRecentInput) globalThis.shifts.push([value, ...sources.map(({ node }) => node?.id || node?.className || node?.nodeName)].join(' '))
      }
    }).observe({ type: 'layout-shift', buffered: true })
  })
  globalThis.shifts = []
})

for (const options of [{ viewport: { width: 1280, height: 900 } }, { ...PHONE, isMobile: false, userAgent: undefined }]) {
  browserTest(`states: each is spoken once and moves nothing, ${options.viewport.width} px`, {}, async ({ visit }) => {
    const page = await visit('/?lang=en', { ...options, prepare: recordSpoken })
    const phone = await visit(await phonePath(page), PHONE)
    await page.waitForFunction(() => document.getElementById('qr').style.width)
    await page.evaluate('shifts.length = 0')
    await scanAs(phone, 'Ann')
    await onScreen(phone, 'consent')
    await inState(page, 'scanned')
    assert.equal(await page.$eval('.arc', (arc) => getComputedStyle(arc).animationName), 'drain, late')
    let answer
    await page.route('**/jwks.json', async (route) => {
      await new Promise((done) => { answer = done })
      await route.continue()
    })
    await phone.click('#confirm')
    await inState(page, 'confirmed')
    assert.equal(await page.textContent('#hint'), `Taking you to ${await page.textContent('[data-site]')}…`)
    await accessible(page)
    answer()
    await inState(page, 'done')
    assert.equal(await page.textContent('#welcome'), 'Logged in as Ann')
    assert.equal(await page.$eval('#details', (details) => details.open), false)
    assert.deepEqual(await page.evaluate('spoken'), ['Waiting for your scan', 'Ann scanned the code', 'Confirm on your phone', 'Logged in as Ann'])
    assert.deepEqual(await page.evaluate('shifts'), [])
  })
}

browserTest('a lost connection is spoken once, and its end too', { expected: /ERR_|WebSocket/ }, async ({ visit }) => {
  const page = await visit('/?lang=en', { prepare: recordSpoken })
  await inState(page, 'pending')
  await page.evaluate('spoken.length = 0')
  await page.context().setOffline(true)
  await page.evaluate(() => dispatchEvent(new Event('online'))) // the login looks at its connection
  await page.waitForFunction(() => globalThis.spoken.length > 0)
  await accessible(page)
  await page.context().setOffline(false)
  await page.waitForFunction(() => globalThis.spoken.length > 1)
  assert.deepEqual(await page.evaluate('spoken'), ['Connection lost, reconnecting…', 'Waiting for your scan'])
})

browserTest('forced colours and reduced motion: the ring shows the time in steps, in the user’s colours', {}, async ({ visit }) => {
  const page = await visit('/?lang=en', { forcedColors: 'active', reducedMotion: 'reduce' })
  await inState(page, 'pending')
  const arc = await page.$eval('.arc', (element) => {
    const { stroke, animationTimingFunction } = getComputedStyle(element)
    return { stroke, animationTimingFunction, ink: getComputedStyle(document.body).color, back: getComputedStyle(document.body).backgroundColor }
  })
  assert.equal(arc.stroke, arc.ink)
  assert.notEqual(arc.stroke, arc.back)
  assert.match(arc.animationTimingFunction, /^steps\(12\)/)
  const phone = await visit(await phonePath(page), { ...PHONE, forcedColors: 'active' })
  await scanAs(phone, 'Ann')
  await onScreen(phone, 'consent')
  await inState(page, 'scanned')
  const unseen = (shown) => shown.evaluate(() => [...document.querySelectorAll('body *')]
    .filter((element) => element.checkVisibility() && [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim()))
    .filter((element) => getComputedStyle(element).color === getComputedStyle(document.body).backgroundColor).map((element) => element.outerHTML))
  assert.deepEqual([await unseen(page), await unseen(phone)], [[], []], 'texts in the colour that is behind them')
  await accessible(page)
  await phone.click('#reject')
  await inState(page, 'rejected')
  assert.deepEqual(await unseen(page), [])
})
