import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { after, test } from 'node:test'
import { chromium } from 'playwright-core'
import { startHub } from './hub.js'

const ARGS = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--disable-sync',
  '--host-resolver-rules=MAP hub.test 127.0.0.1']
let browser

/** The system's Chromium, started at the first use and shared by the tests of a file. */
async function launch() {
  const executablePath = process.env.CHROMIUM || execFileSync('sh', ['-c', 'command -v chromium || command -v chromium-browser || command -v google-chrome'], { encoding: 'utf8' }).trim()
  return browser ??= await chromium.launch({ executablePath, args: ARGS })
}
after(() => browser?.close())

/**
 * A test in the browser. `run` gets the hub and `visit(path, options)`, which opens a page in a
 * context of its own (`prepare(page)` comes before the first request). In the end no page may
 * have had a console error, a policy violation or a request to a stranger; `expected` matches
 * the console errors that belong to the story.
 */
export function story(name, { proxy, expected, ...options }, run) {
  test(name, { timeout: 60000 }, async (t) => {
    if (proxy) {
      await proxy.listen()
      t.after(() => proxy.close())
    }
    const hub = await startHub({ publicURL: proxy?.url, ...options })
    t.after(() => hub.stop())
    if (proxy) proxy.target = hub.listen
    const chrome = await launch()
    const troubles = []
    const visit = async (path, { prepare, ...contextOptions } = {}) => {
      const context = await chrome.newContext({ locale: 'zh-CN', ...contextOptions })
      t.after(() => context.close())
      const page = await context.newPage()
      await watch(page, new URL(hub.url).host, troubles, expected)
      prepare?.(page)
      await page.goto(new URL(path, hub.url).href)
      return page
    }
    await run({ hub, visit, t })
    assert.deepEqual(troubles, [])
  })
}

async function watch(page, host, troubles, expected) {
  page.setDefaultTimeout(15000)
  page.on('console', (message) => {
    if (message.type() === 'error' && !expected?.test(message.text())) troubles.push(`console: ${message.text()}`)
  })
  page.on('pageerror', (err) => troubles.push(`page: ${err.message}`))
  page.on('request', (request) => {
    const url = new URL(request.url())
    if (url.protocol !== 'data:' && url.host !== host) troubles.push(`stranger: ${request.url()}`)
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

/** The path of the phone page for the code that the login page shows. */
export async function phonePath(page) {
  await inState(page, 'pending')
  return page.getAttribute('#phone', 'href')
}

/** Types a name and scans, on the phone page. */
export async function scanAs(phone, name) {
  await phone.fill('#name', name)
  await phone.click('#scan')
}

/** Waits for a screen of the phone page. */
export function onScreen(phone, screen) {
  return phone.waitForSelector(`#phone[data-screen="${screen}"]`)
}

export const handset = { viewport: { width: 390, height: 780 }, deviceScaleFactor: 2, hasTouch: true, isMobile: true }
