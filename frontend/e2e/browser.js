import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { chromium } from 'playwright-core'
import { startHub } from './hub.js'
import { startSite } from './site.js'

const ARGS = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--disable-sync',
  '--host-resolver-rules=MAP *.test 127.0.0.1']
const axe = readFileSync(fileURLToPath(new URL('node_modules/axe-core/axe.min.js', import.meta.url)), 'utf8')
// Of the users of imitated providers.
const PICTURES = /^https:\/\/(s1-imfile\.feishucdn\.com|static-legacy\.dingtalk\.com|thirdqq\.qlogo\.cn)\//
const PNG = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==', 'base64')
const browsers = {} // by scale of the screen

/** Returns the system's Chromium, started at first use and shared by the tests of a file. Only a real scale draws as screens do. */
async function launch(scale) {
  const executablePath = process.env.CHROMIUM || execFileSync('sh', ['-c', 'command -v chromium || command -v chromium-browser || command -v google-chrome'], { encoding: 'utf8' }).trim()
  const args = scale ? [...ARGS, `--force-device-scale-factor=${scale}`, '--window-size=1100,800'] : ARGS
  return browsers[scale] ??= await chromium.launch({ executablePath, args, ignoreDefaultArgs: ['--disable-back-forward-cache'] })
}
const hubs = {} // the hubs that the tests of a file share, by their options
const sites = {}
const cleanups = []
after(async () => {
  for (const browser of Object.values(browsers)) await browser.close()
  for (const clean of cleanups) clean()
  for (const hub of Object.values(hubs)) await (await hub).stop()
}, { timeout: 120000 })

// Returns the hub of a test. Its start takes longer than most tests, so those with the same options share it.
async function hubFor(t, { ownHub, ...options }) {
  if (!ownHub) return hubs[JSON.stringify(options, (_, value) => (typeof value === 'function' ? String(value) : value))] ??= startHub(options)
  const hub = await startHub(options)
  t.after(() => hub.stop())
  return hub
}

async function siteFor(host) {
  const site = await (sites[host ?? ''] ??= startSite({ after: (clean) => cleanups.push(clean) }, host))
  return Object.assign(site, { files: {}, policy: '', embedder: 'require-corp' })
}

/**
 * Defines a test in the browser, against nodes behind nginx. `run` gets the hub and `visit(path,
 * options)`, which opens a page, in a new context unless one is given; `prepare(page)` runs before the
 * first request. With `site` the test also gets another site; SITE in `clients` is replaced by its URL.
 * Tests of one file with the same options share a hub, unless `ownHub` is set: a test that changes it needs its own.
 * The test fails if a page had a console error, a policy violation or a request to another host. The pictures that
 * imitations of providers name are answered.
 * `scale` is that of a screen, for contexts with `viewport: null`. `expected` matches the console errors that are part of the test.
 */
export function browserTest(name, { proxy, site: withSite, siteHost, expected, clients, scale, ...options }, run) {
  test(name, { timeout: 300000 }, async (t) => {
    if (proxy) {
      await proxy.listen()
      t.after(() => proxy.close())
    }
    const site = withSite && await siteFor(siteHost)
    const hub = await hubFor(t, { publicURL: proxy?.url, ownHub: Boolean(proxy), clients: clients?.replaceAll('SITE', site?.url), ...options })
    if (proxy) proxy.target = hub.listen
    const chrome = await launch(scale)
    const problems = []
    const hosts = [hub.url, hub.admin, site?.url].filter(Boolean).map((url) => new URL(url).host)
    const newContext = async (contextOptions) => {
      const context = await chrome.newContext({ locale: 'zh-CN', ...contextOptions })
      t.after(() => { context.close().catch(() => {}) }) // not awaited: an overloaded Chromium may never answer
      return context
    }
    const visit = async (path, { prepare, context: sharedContext, ...contextOptions } = {}) => {
      const context = sharedContext ?? await newContext(contextOptions)
      const page = await context.newPage()
      await watch(page, hosts, problems, expected)
      // A route turns the browser's cache off, so other tests have none.
      if (/kind: (dingtalk|feishu|qq),/.test(clients)) await page.route(PICTURES, (route) => route.fulfill({ contentType: 'image/png', body: PNG }))
      await prepare?.(page)
      await page.goto(new URL(path, hub.url).href)
      return page
    }
    await run({ hub, site, visit, t })
    assert.deepEqual(problems, [])
  })
}

// What Chromium writes if a page is left, or a test ends, while its socket opens.
const LEFT = /WebSocket is closed before the connection is established/

async function watch(page, hosts, problems, expected) {
  page.setDefaultTimeout(90000) // it only ends a test that hangs
  page.on('console', (message) => {
    const text = message.text()
    if (['error', 'warning'].includes(message.type()) && !LEFT.test(text) && !expected?.test(text)) problems.push(`console: ${text}`)
  })
  page.on('pageerror', (err) => problems.push(`page: ${err.message}`))
  page.on('request', (request) => {
    const url = new URL(request.url())
    if (url.protocol !== 'data:' && !hosts.includes(url.host) && !PICTURES.test(url.href)) problems.push(`other host: ${request.url()}`)
  })
  await page.addInitScript(() => {
    addEventListener('securitypolicyviolation', (event) => {
      console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`)
    })
  })
}

/** Waits until the login page is in a state. */
export function inState(page, state) {
  return page.waitForSelector(`#login[data-state="${state}"]`)
}

/** Chooses the language of the login page or the sandbox's phone, and waits for it. */
export async function chooseLanguage(page, language) {
  await page.selectOption('#language', language)
  await page.waitForSelector(`html[lang="${language}"]`)
}

/** Returns the path of the phone page for the code on the login page. */
export async function phonePath(page) {
  await inState(page, 'pending')
  return page.getAttribute('#phone', 'href')
}

/** Asserts that axe-core finds no violation in the page's current state. */
export async function accessible(page) {
  if (await page.evaluate('!globalThis.axe')) await page.evaluate(axe) // through the debugger: the page's policy does not apply
  const violations = await page.evaluate(() => globalThis.axe.run({ resultTypes: ['violations'] }).then((results) => results.violations))
  const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => `${node.html} ${node.any[0]?.message ?? ''}`).join('; ')}`)
  assert.deepEqual(found, [])
}

/** Types a name and scans, on the phone page. */
export async function scanAs(phone, name) {
  await phone.fill('#name', name)
  await phone.click('#scan')
}

/** Logs a sandbox user in with the phone, and checks that the page shows that user. */
export async function logIn(phone, page, name) {
  await scanAs(phone, name)
  await onScreen(phone, 'consent')
  await inState(page, 'scanned')
  assert.ok((await page.textContent('#face')).includes(name))
  await phone.click('#confirm')
  await inState(page, 'done')
  assert.equal(await page.textContent('[data-claim=sub]'), `sandbox:${name}`)
}

/** Waits for a screen of the phone page. */
export function onScreen(phone, screen) {
  return phone.waitForSelector(`#phone[data-screen="${screen}"]`)
}

export const PHONE = { viewport: { width: 390, height: 780 }, deviceScaleFactor: 2, hasTouch: true, isMobile: true }
