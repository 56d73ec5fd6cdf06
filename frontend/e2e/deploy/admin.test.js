import assert from 'node:assert/strict'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { accessible, browserTest, phonePath } from '../browser.js'
import { waitFor } from '../hub.js'
import { callAsPhone } from '../phone.js'

const token = 'e2e-0123456789abcdef0123456789abcdef'
const clients = `clients:
  - {id: shop, label: {zh: 商店, en: Shop}, origins: [ORIGIN]}
  - {id: wiki, label: Wiki, origins: [ORIGIN]}
`
// The browser reports refused requests itself.
const options = { clients, env: { LOGINHUB_ADMIN_TOKEN: token }, expected: /401|403/ }

const states = (page) => page.locator('#sites td:nth-child(3)').allTextContents()
const create = (hub, headers) => fetch(`${hub.url}/api/login/tickets`, { method: 'POST', headers: { 'Content-Type': 'application/json', ...headers }, body: '{"client_id":"shop"}' })

async function unlock(page) {
  await page.fill('#token', token)
  await page.click('#access .button')
  await page.waitForSelector('#config tr', { state: 'attached' })
}

browserTest('admin page: shows the nodes, and switches a site off and on with the token', options, async ({ hub, visit }) => {
  assert.equal((await create(hub, { Origin: 'https://evil.test' })).status, 403)
  const login = await visit('/?client_id=shop')
  const admin = await visit(hub.admin, { locale: 'en-US' })
  await admin.waitForFunction(() => document.querySelectorAll('#nodes tr').length === 2)
  await waitFor(async () => (await admin.textContent('#waiting')) === '1') // the page waits on either node
  await waitFor(async () => (await admin.textContent('#ready')) === '2 / 2')

  // Without the token, and with a wrong one, it is read-only.
  assert.deepEqual(await states(admin), ['on', 'on'])
  const readOnly = async () => assert.deepEqual([await admin.locator('#sites button:enabled, #all:enabled').count(), await admin.isVisible('#refused-part')], [0, false])
  await readOnly()
  await accessible(admin)
  await admin.fill('#token', 'wrong')
  await admin.click('#access .button')
  await admin.waitForFunction(() => document.getElementById('reason').textContent.startsWith('This is not the token.'))
  await readOnly()

  await unlock(admin)
  assert.match(await admin.textContent('#refused'), /POST \/api\/login\/tickets403 origin_not_allowedshop/)
  const config = await admin.textContent('#config')
  assert.match(config, /admin_token'\[set\]'LOGINHUB_ADMIN_TOKEN/)
  assert.ok(!config.includes(token) && !(await admin.content()).includes(token) && !admin.url().includes(token))

  // Off: only after the dialog, which names the site; the page that waits follows.
  await admin.click('#sites tr:nth-child(1) button')
  assert.equal(await admin.textContent('#ask'), 'Switch the QR login of Shop (shop) off?')
  await accessible(admin)
  await admin.click('#no')
  assert.equal((await create(hub)).status, 201)
  await admin.click('#sites tr:nth-child(1) button')
  await admin.click('#yes')
  await waitFor(async () => (await states(admin)).join() === 'off,on')
  await login.waitForSelector('#login[data-state="error"]')
  await admin.click('#sites tr:nth-child(1) button')
  await admin.click('#yes')
  await waitFor(async () => (await states(admin)).join() === 'on,on')

  // All at once need a typed word.
  await admin.click('#all')
  assert.ok(await admin.isDisabled('#yes'))
  await admin.fill('#typed', 'all')
  await admin.click('#yes')
  await waitFor(async () => (await states(admin)).join() === 'off,off')
  await admin.click('#sites tr:nth-child(2) button')
  await admin.click('#yes')
  await waitFor(async () => (await states(admin)).join() === 'off,on')

  // The token outlives a reload of the tab, and nothing else.
  await admin.reload()
  await admin.waitForSelector('#config tr', { state: 'attached' })
  assert.equal(await admin.evaluate(() => JSON.stringify(localStorage) + document.cookie), '{}')
  await admin.click('#lock')
  await admin.waitForFunction(() => document.querySelector('#sites button').disabled)
})

browserTest('admin page: in Chinese and English, light and dark, at every width', options, async ({ hub, visit }) => {
  const login = await visit('/?client_id=wiki')
  const id = (await phonePath(login)).match(/[\w-]{22}/)[0]
  await callAsPhone(hub.url, id, 'confirm', 'Ann')
  const page = await visit(hub.admin, { locale: 'zh-CN', prepare: (opened) => opened.addInitScript(() => { // as if the user forbids storage
    Object.defineProperty(globalThis, 'sessionStorage', { get() { throw new DOMException('denied', 'SecurityError') } })
  }) })
  await unlock(page)
  await waitFor(async () => Number(await page.textContent('#logins')) > 0)
  if (process.env.SCREENS) mkdirSync(process.env.SCREENS, { recursive: true })
  for (const [language, heading] of [['zh-CN', '网站'], ['en', 'Sites']]) {
    await page.selectOption('#language', language)
    assert.equal(await page.textContent('#h-sites'), heading)
    assert.equal(await page.textContent('#sites td'), language === 'en' ? 'Shop' : '商店')
    for (const colorScheme of ['light', 'dark']) {
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' })
      await accessible(page)
      for (const width of [360, 1100]) {
        await page.setViewportSize({ width, height: 800 })
        assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${width} px, ${language}`)
        if (process.env.SCREENS) await page.screenshot({ path: join(process.env.SCREENS, `admin-${width}-${colorScheme}-${language}.png`), fullPage: true })
      }
    }
  }
})

browserTest('admin page: refuses the page of another site, and says that a node does not answer', { site: true, ownHub: true, nodes: 1, expected: /403|405|ERR_|CORS/ }, async ({ hub, site, visit }) => {
  const admin = await visit(hub.admin, { locale: 'en-US' })
  await admin.waitForSelector('#sites button:enabled') // a loopback address without a token
  Object.assign(site, { files: { '/': '<!doctype html><title>x</title>' }, embedder: 'unsafe-none' })
  const foreign = await visit(site.url)
  const [answer] = await Promise.all([
    foreign.waitForResponse(`${hub.admin}/admin/status`),
    foreign.evaluate(async (at) => {
      await fetch(`${at}/admin/status`, { mode: 'no-cors' })
      await fetch(`${at}/clients/default/login`, { method: 'PUT', headers: { 'Content-Type': 'application/json' }, body: '{"enabled":false}' }).catch(() => {})
    }, hub.admin),
  ])
  assert.equal(answer.status(), 403)
  assert.ok((await (await fetch(`${hub.admin}/clients`)).json())[0].enabled)
  await hub.nodes[0].stop()
  await admin.waitForSelector('#problem:not([hidden])')
  assert.match(await admin.textContent('#problem'), /^This node does not answer since /)
})
