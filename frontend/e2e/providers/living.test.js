import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { binary, tempDir, waitFor } from '../hub.js'
import { PHONE, accessible, browserTest, inState, logIn, onScreen, scanAs } from '../browser.js'
import { sitePolicy } from '../site.js'

const STEP = 1
const WINDOW = 4
const clients = `clients:
  - {id: demo, origins: [ORIGIN, SITE], living_code: ${STEP}s, living_code_window: ${WINDOW}s}
  - {id: slow, origins: [ORIGIN], living_code: 2s, living_code_window: 60s}
`

/** Reads the QR codes on screenshots. */
const readCodes = (files) => execFileSync(binary('READQR_BIN', './api/apitest/readqr'), files, { encoding: 'utf8' }).trim().split('\n').map((line) => line.split(' ')[1])

const frameOf = (url) => Number(new URL(url).searchParams.get('f').split('.')[0])

// The first code is drawn, of another ticket than before: the link beside the page has its frame.
function drawn(before) {
  const { href } = document.getElementById('phone')
  return /f=\d/.test(href) && !(before && href.includes(before))
}

/** Reads the code on the login page. */
async function readCode(page) {
  const file = join(tempDir('living'), 'code.png')
  await page.locator('#qr + canvas').screenshot({ path: file })
  return readCodes([file])[0]
}

/** Records when a code is drawn, by the page's monotonic clock. */
const recordDraws = (page) => page.addInitScript(() => {
  globalThis.draws = []
  const draw = CanvasRenderingContext2D.prototype.putImageData
  CanvasRenderingContext2D.prototype.putImageData = function (...args) {
    globalThis.draws.push(performance.now())
    return draw.apply(this, args)
  }
})

// A page of a site's own, with a code of every size that the hub's pictures have. The captures begin at
// any moment, so that some are of a change.
browserTest('living code: captures from 128 to 1,024 px are read, and are at most a step old', { site: true, clients }, async ({ hub, site, visit, t }) => {
  site.policy = sitePolicy(hub.url)
  site.files = {
    '/': '<!doctype html><html lang="en"><script type="module" src="/site.js"></script><div id="room"><img alt="QR code"></div></html>',
    '/site.js': `import { createLogin } from '${hub.url}/assets/client/login.js'
import { LivingCode, frameNumber } from '${hub.url}/assets/client/widget/livingcode.js'
const login = createLogin({ hub: '${hub.url}', clientId: 'demo' })
const code = new LivingCode(document.querySelector('img'), (frame) => { globalThis.frame = frame })
setInterval(() => code.update(login.ticket, login.remaining), 250)
globalThis.now = () => frameNumber(login.ticket, login.remaining)`,
  }
  const page = await visit(site.url, { viewport: { width: 1100, height: 1100 } })
  await page.waitForFunction(() => globalThis.frame)
  const dir = tempDir('living')
  for (const size of [128, 256, 512, 1024]) {
    await page.$eval('#room', (room, edge) => { room.style.width = `${edge}px` }, size)
    await page.waitForFunction((edge) => document.querySelector('canvas').clientWidth > edge / 2 && document.querySelector('canvas').clientWidth <= edge, size)
    const shots = []
    for (let i = 0; i < 8; i++) {
      const file = join(dir, `${size}-${i}.png`)
      const before = await page.evaluate('now()')
      await page.screenshot({ path: file, clip: { x: 0, y: 0, width: size + 16, height: size + 16 } })
      shots.push({ file, before, after: await page.evaluate('now()') })
    }
    const startedAt = performance.now()
    const texts = readCodes(shots.map(({ file }) => file))
    t.diagnostic(`${size} px: ${((performance.now() - startedAt) / shots.length).toFixed(0)} ms to read a capture; frames ${texts.map(frameOf).join(' ')}`)
    for (const [i, { before, after }] of shots.entries()) {
      assert.ok(texts[i].startsWith(`${hub.url}/s/`), texts[i])
      const number = frameOf(texts[i])
      assert.ok(number >= before - 1 && number <= after, `${size} px: frame ${number}, wanted ${before - 1} to ${after}`)
    }
  }
})

for (const [url, selector] of [['/?client_id=demo&lang=en', '#qr + canvas'], ['widget', 'login-qr canvas.code']]) {
  for (const [reducedMotion, least] of [['no-preference', STEP], ['reduce', WINDOW / 2]]) {
    browserTest(`living code: ${url}, with ${reducedMotion}, changes every ${least} s at most, and its name stays`, { site: true, clients }, async ({ hub, site, visit }) => {
      site.policy = sitePolicy(hub.url)
      site.files = { '/': widgetPage(hub) }
      const page = await visit(url === 'widget' ? site.url : url, { reducedMotion, locale: 'en', prepare: recordDraws })
      const code = await page.waitForSelector(selector)
      await code.evaluate((canvas) => {
        globalThis.renamed = 0
        new MutationObserver((all) => { globalThis.renamed += all.length }).observe(canvas, { attributeFilter: ['aria-label', 'role'] })
      })
      await page.waitForFunction(() => globalThis.draws.length >= 4)
      await accessible(page)
      const draws = await page.evaluate('draws')
      // A timer of a busy machine may be late, but no two drawings are ever nearer than a third of a second.
      for (const [i, at] of draws.slice(1).entries()) assert.ok(at - draws[i] > 334, `${at - draws[i]} ms after ${i}`)
      assert.ok((draws.at(-1) - draws[0]) / (draws.length - 1) > least * 700, `${draws}`)
      assert.deepEqual([await page.evaluate('renamed'), await code.getAttribute('role'), await code.getAttribute('aria-label')], [0, 'img', 'QR code to log in'])
      const file = join(tempDir('living'), 'code.png')
      await code.screenshot({ path: file }) // without what is beside it, where the reader misses one code in some hundred
      assert.match(readCodes([file])[0], /\/s\/[\w-]{22}\?f=\d+\.[\w-]{11}$/)
    })
  }
}

const widgetPage = (hub) => `<!doctype html><html lang="en"><title>A site</title><script type="module" src="${hub.url}/assets/client/widget/login-qr.js"></script><main><h1>A site</h1><login-qr client="demo"></login-qr></main></html>`

// What a screen reader says: [title, hint] of the page, one text of the widget.
const spokenOnPage = (page) => page.$$eval('#status, #spoken', (all) => all.map((region) => region.textContent).sort())

browserTest('living code: without WebCrypto, page and widget say what to do', { site: true, clients }, async ({ hub, site, visit }) => {
  const prepare = (page) => page.addInitScript(() => { delete Crypto.prototype.subtle }) // as on http
  const page = await visit('/?client_id=demo&lang=en', { prepare })
  await inState(page, 'error')
  assert.deepEqual(await spokenOnPage(page), ['Open this page at its https address, in a current browser.', 'The code cannot be shown here'])
  await accessible(page)
  site.files = { '/': widgetPage(hub) }
  const embedding = await visit(site.url, { locale: 'en', prepare })
  await embedding.waitForSelector('login-qr .card[data-state="error"]')
  assert.equal(await embedding.textContent('login-qr .spoken'), 'The code cannot be shown here. Open this page at its https address, in a current browser.')
  await accessible(embedding)
})

browserTest('living code: its module does not load, at first', { site: true, clients, expected: /ERR_FAILED/ }, async ({ hub, site, visit }) => {
  site.files = { '/': widgetPage(hub) }
  for (const [url, card, retry, code] of [['/?client_id=demo&lang=en', '#login', '#retry', '#qr + canvas'], [site.url, 'login-qr .card', 'login-qr .button:visible', 'login-qr canvas.code']]) {
    let tries = 0
    const page = await visit(url, { locale: 'en', prepare: async (opened) => {
      await recordDraws(opened)
      await opened.route('**/drawcode*.js', (route) => (++tries > 3 ? route.continue() : route.abort()))
    } })
    await page.waitForSelector(`${card}[data-state="error"]`)
    assert.equal(tries, 3)
    assert.match(await page.textContent('body') + await page.evaluate(() => document.querySelector('login-qr')?.shadowRoot.textContent), /Something went wrong.*Please try again/s)
    await page.click(retry)
    await page.waitForSelector(code)
    await page.waitForFunction(() => globalThis.draws.length) // a string is eval in the page, which its policy refuses
  }
})

browserTest('living code: a screenshot is dead', { site: true, clients, expected: /status of 409/ }, async ({ hub, visit }) => {
  const page = await visit('/?client_id=demo&lang=en')
  await page.waitForFunction(drawn)
  const screenshot = await readCode(page)
  const victim = await visit(`${screenshot}&lang=en`, PHONE)
  await waitFor(async () => frameOf(hub.url + await page.getAttribute('#phone', 'href')) > frameOf(screenshot) + WINDOW + STEP)
  await scanAs(victim, 'Ann')
  await onScreen(victim, 'stale')
  assert.equal(await victim.textContent('#outcome'), 'The code has changed')
  await accessible(victim)
  await inState(page, 'pending')
})

// The window is wider than the default: the machine of the tests may be busy. The time is reported.
browserTest('living code: a phone that starts six times slower logs in, by the code and by the link beside it', { site: true, clients }, async ({ visit, t }) => {
  const page = await visit('/?client_id=slow')
  await page.waitForFunction(drawn)
  const read = await readCode(page)
  const startedAt = performance.now()
  const phone = await visit(read, {
    ...PHONE,
    async prepare(opened) {
      const debug = await opened.context().newCDPSession(opened)
      await debug.send('Emulation.setCPUThrottlingRate', { rate: 6 })
    },
  })
  await phone.click('#scan')
  await phone.waitForSelector('#phone[data-screen="consent"]')
  t.diagnostic(`from the code to the answer of its scan: ${(performance.now() - startedAt).toFixed(0)} ms`)
  await phone.click('#reject')
  await inState(page, 'rejected')
  await page.click('#again')
  await page.waitForFunction(drawn, new URL(read).pathname.split('/').pop())
  await logIn(await visit(await page.getAttribute('#phone', 'href'), PHONE), page, 'Ann')
})
