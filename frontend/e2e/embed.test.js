import assert from 'node:assert/strict'
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { callAsPhone } from './phone.js'
import { Proxy } from './proxy.js'
import { sitePolicy } from './site.js'
import { waitFor } from './hub.js'
import { install } from './install.js'
import { PHONE, accessible, browserTest, scanAs } from './browser.js'

const path = (name) => fileURLToPath(new URL(name, import.meta.url))

const clients = `
clients:
  - id: other
    origins: [https://www.example.com]
  - id: demo
    label: {zh: 演示, en: Demo}
    origins: [SITE]
    number_matching: true
`

const siteScript = `
const widget = document.querySelector('login-qr')
globalThis.events = { states: [], tokens: [], errors: [] }
widget.addEventListener('state', ({ detail }) => events.states.push(detail.state))
widget.addEventListener('error', ({ detail }) => events.errors.push(detail.code))
widget.addEventListener('login', ({ detail }) => {
  events.tokens.push(detail.token)
  detail.waitUntil(events.tokens.length > 1 ? Promise.resolve() : Promise.reject(new Error('the site is down')))
})`

/** Embeds the widget in the site's page, with a script element and the widget's element. */
function embed(site, hub, { attributes = 'client="demo" login-nonce="n-1"', inside = '' } = {}) {
  site.policy = sitePolicy(hub.url)
  site.files = {
    '/': `<!doctype html><html lang="en"><title>A site</title><script type="module" src="/site.js"></script>
<script type="module" src="${hub.url}/assets/client/widget/login-qr.js"></script>
<main><h1>A site</h1><login-qr ${attributes}>${inside}</login-qr></main></html>`,
    '/site.js': siteScript,
    '/elsewhere': '<!doctype html><html lang="en"><title>Elsewhere</title><h1>Elsewhere</h1></html>',
  }
}

const inState = (page, state) => page.waitForSelector(`login-qr .card[data-state="${state}"]`)

/** Returns the ticket of the widget's QR code. */
async function ticketOf(page) {
  await inState(page, 'pending')
  const src = await page.waitForSelector('login-qr .code').then((code) => code.getAttribute('src'))
  return src.split('/').at(-2)
}

async function logIn(page, hub, name) {
  const ticket = await ticketOf(page)
  const number = await page.textContent('login-qr .match strong')
  const scanned = await callAsPhone(hub.url, ticket, 'scan', name)
  assert.equal(scanned.login.client, 'Demo')
  await inState(page, 'scanned')
  const { state } = await callAsPhone(hub.url, ticket, 'confirm', name, { match: number })
  assert.equal(state, 'confirmed')
  await inState(page, 'consumed')
}

const claims = (token) => JSON.parse(Buffer.from(token.split('.')[1], 'base64url'))

browserTest('widget: logs in under the strictest policy', { site: true, clients }, async ({ hub, site, visit }) => {
  embed(site, hub)
  const page = await visit(site.url)
  const ticket = await ticketOf(page)
  assert.ok(await page.$eval('login-qr .code', (img) => img.decode().then(() => img.naturalWidth > 0)), 'the code is not drawn')
  await accessible(page)
  await callAsPhone(hub.url, ticket, 'scan', 'Ann')
  await inState(page, 'scanned')
  await accessible(page)
  await page.click('login-qr .button:visible')
  assert.notEqual(await ticketOf(page), ticket, '"not me" keeps the ticket')
  await logIn(page, hub, 'Bob')
  await accessible(page)
  const { tokens, states, errors } = await page.evaluate('events')
  // The site refused the token at first. It got the token again, and only then was it acknowledged.
  assert.equal(tokens.length, 2)
  assert.equal(tokens[0], tokens[1])
  const { sub, aud, nonce } = claims(tokens[0])
  assert.deepEqual({ sub, aud, nonce }, { sub: 'sandbox:Bob', aud: 'demo', nonce: 'n-1' })
  assert.equal(states.at(-1), 'consumed')
  assert.deepEqual(errors, [])
})

for (const attributes of ['client="demo" hub="HUB/"', 'client="demo"']) {
  const proxy = new Proxy()
  proxy.prefix = '/hub'
  browserTest(`widget: a hub below a path: ${attributes}`, { site: true, clients, proxy }, async ({ hub, site, visit }) => {
    const url = `${hub.url}/hub`
    embed(site, { url }, { attributes: attributes.replace('HUB', url) })
    site.policy = sitePolicy(hub.url)
    const page = await visit(site.url)
    await inState(page, 'pending')
    assert.ok(await page.$eval('login-qr .code', (img) => img.decode().then(() => img.naturalWidth > 0)), 'the code is not drawn')
    await logIn(page, { url }, 'Ann')
  })
}

browserTest('widget: an origin that is not listed gets an error text', { host: 'hub.test', site: true, siteHost: 'site.test', clients, expected: /status of 403/ }, async ({ hub, site, visit }) => {
  embed(site, hub, { attributes: 'client="other"' })
  const page = await visit(site.url)
  await inState(page, 'error')
  assert.match(await page.textContent('login-qr .hint'), new RegExp(`clients file:\nid: other\norigins: \\[${site.url}\\]$`))
  assert.deepEqual(await page.evaluate('events.errors'), ['origin_not_allowed'])
  const own = await visit('/?client_id=other')
  await own.waitForSelector('#login[data-state="pending"]') // the hub's own page needs no entry
  await accessible(page)
})

browserTest('widget: an unknown client gets the text of the hub', { site: true, clients, expected: /status of 400/ }, async ({ hub, site, visit }) => {
  embed(site, hub, { attributes: 'client="unknown"' })
  const page = await visit(site.url)
  await inState(page, 'error')
  assert.match(await page.textContent('login-qr .hint'), /\nclient_id: unknown; /)
})

browserTest('widget: an internal error has its request number, and a code that the site’s policy forbids is an error', { site: true, clients, expected: /status of 500|img-src/ }, async ({ hub, site, visit }) => {
  embed(site, hub)
  site.policy = sitePolicy(hub.url).replace(/img-src [^;]*/, "img-src 'none'")
  const page = await visit(site.url, { prepare: (opened) => opened.route('**/tickets', (route) => route.fulfill({
    status: 500, contentType: 'application/problem+json', headers: { 'Access-Control-Allow-Origin': '*' },
    body: '{"code":"internal_error","detail":"Tell the operator this id: 0123456789abcdef0123456789abcdef"}',
  }), { times: 1 }) })
  await inState(page, 'error')
  assert.match(await page.textContent('login-qr .hint'), /\nRequest number 0123456789abcdef0123456789abcdef$/)
  await accessible(page)
  await inState(page, 'pending') // it tries again by itself
  await inState(page, 'error')
  assert.deepEqual(await page.evaluate('events.errors'), ['internal_error', 'code_not_drawn'])
})

browserTest('widget: language and theme follow the attributes', { site: true, clients }, async ({ hub, site, visit }) => {
  embed(site, hub, { attributes: 'client="demo" lang="zh-TW" theme="dark"', inside: '<b slot="title">示範網站</b><a slot="footer" href="/elsewhere">用密碼登入</a>' })
  const page = await visit(site.url, { colorScheme: 'light' })
  const ticket = await ticketOf(page)
  const status = () => page.textContent('login-qr .status')
  assert.equal(await status(), '請用手機掃描 QR Code')
  const background = () => page.$eval('login-qr .card', (card) => getComputedStyle(card).backgroundColor)
  assert.equal(await background(), 'rgb(22, 30, 36)')
  await accessible(page)
  await page.$eval('login-qr', (widget) => {
    widget.lang = 'ar-EG'
  })
  assert.deepEqual([await status(), await page.getAttribute('login-qr .card', 'dir')], ['امسح الرمز بهاتفك', 'rtl'])
  await page.$eval('login-qr', (widget) => {
    widget.lang = 'zh-Hans'
    widget.setAttribute('theme', 'light')
    widget.style.setProperty('--login-qr-accent', 'rebeccapurple')
  })
  assert.equal(await status(), '请用手机扫描二维码')
  assert.equal(await background(), 'rgb(255, 255, 255)')
  assert.equal(await ticketOf(page), ticket, 'a change of language or theme changed the ticket')
  await page.$eval('login-qr', (widget) => widget.parentNode.append(widget)) // frameworks move elements
  assert.equal(await ticketOf(page), ticket)
  await page.$eval('login-qr', (widget) => widget.setAttribute('login-nonce', 'n-2'))
  await page.waitForFunction((old) => !document.querySelector('login-qr').shadowRoot.querySelector('.code').src.includes(old), ticket)
  await ticketOf(page)
})

browserTest('widget: an expired code is refreshed by the keyboard, and the state is announced', { site: true, clients, env: { LOGINHUB_TICKET_TTL: '1s' } }, async ({ hub, site, visit }) => {
  embed(site, hub)
  const page = await visit(site.url, { reducedMotion: 'reduce' })
  await page.waitForSelector('login-qr .veil', { state: 'visible' })
  await accessible(page)
  assert.equal(await page.getAttribute('login-qr .status', 'aria-live'), 'polite')
  assert.equal(await page.textContent('login-qr .status'), 'This code has expired')
  await page.focus('login-qr .veil')
  await page.keyboard.press('Enter')
  await inState(page, 'pending')
  assert.equal(await page.evaluate(() => document.activeElement.localName), 'login-qr', 'the keyboard focus is lost')
})

browserTest('widget: keeps its ticket in the back/forward cache', { site: true, clients }, async ({ hub, site, visit }) => {
  embed(site, hub)
  const page = await visit(site.url)
  const ticket = await ticketOf(page)
  await page.evaluate(() => addEventListener('pageshow', ({ persisted }) => { events.persisted = persisted }))
  await page.goto(`${site.url}/elsewhere`)
  await page.goBack({ waitUntil: 'commit' }) // a page from the cache has no load event
  await page.waitForFunction(() => globalThis.events.persisted === true)
  assert.equal(await ticketOf(page), ticket)
  await logIn(page, hub, 'Ann')
})

browserTest('widget: a page that goes for good cancels its ticket', { site: true, clients }, async ({ hub, site, visit }) => {
  embed(site, hub)
  const page = await visit(site.url)
  const ticket = await ticketOf(page)
  await page.evaluate(() => addEventListener('unload', () => {})) // keeps the page out of the back/forward cache
  await page.goto(`${site.url}/elsewhere`)
  await waitFor(async () => (await callAsPhone(hub.url, ticket, 'scan', 'Ann')).reason === 'cancelled_here')
})

browserTest('widget: on a phone a button opens the app in place of the code', { site: true, clients }, async ({ hub, site, visit }) => {
  embed(site, hub)
  const userAgent = 'Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Version/18.0 Mobile/15E148 Safari/604.1'
  const page = await visit(site.url, { ...PHONE, userAgent })
  await inState(page, 'pending')
  assert.ok(await page.isHidden('login-qr .code'))
  await accessible(page)
  const [app] = await Promise.all([page.context().waitForEvent('page'), page.click('login-qr a.button')])
  await scanAs(app, 'Ann')
  await app.click(`#numbers label:has-text("${await page.textContent('login-qr .match strong')}")`)
  await app.click('#confirm')
  await inState(page, 'consumed')
})

/** Returns a snippet of a document, for the hub at `hubURL`. */
function snippet(document, name, hubURL) {
  const [, code] = readFileSync(path(document), 'utf8').split(`<!-- ${name} -->\n`)[1].match(/```\w+\n([^]*?)\n```/)
  return code.replaceAll('https://login.example.com', hubURL)
}

const snippets = { // snippets of README.md, as pages of a site
  'widget.html': (code) => code,
  'module.js': (code) => `<img alt="QR code"><script type="module">${code}</script>`,
}
for (const [name, body] of Object.entries(snippets)) {
  browserTest(`README.md: ${name} posts the token to its site`, { site: true, clients: clients.replace('number_matching: true', '') }, async ({ hub, site, visit }) => {
    site.files = { '/': `<!doctype html><html lang="en"><title>A site</title>${body(snippet('../../README.md', name, hub.url))}</html>`, '/session': '' }
    const page = await visit(site.url)
    const code = await page.waitForSelector('img[src*="/qr."]')
    const ticket = (await code.getAttribute('src')).split('/').at(-2)
    const posted = page.waitForRequest((request) => request.method() === 'POST' && request.url() === `${site.url}/session`)
    await callAsPhone(hub.url, ticket, 'confirm', 'Ann')
    assert.equal(claims((await posted).postData()).nonce, 'NONCE')
  })
}

/** Bundles a snippet of the client's README with a program that uses it. */
async function bundleSnippet(name, hubURL, program) {
  const { outputFiles: [bundle] } = await build({
    stdin: { contents: `${snippet('../client/README.md', name, hubURL)}\n${program}`, resolveDir: install(hubURL).dir, loader: 'jsx' },
    nodePaths: [path('node_modules')],
    jsx: 'automatic', bundle: true, format: 'esm', write: false,
    define: { 'process.env.NODE_ENV': '"production"', __VUE_OPTIONS_API__: 'true', __VUE_PROD_DEVTOOLS__: 'false', __VUE_PROD_HYDRATION_MISMATCH_DETAILS__: 'false' },
  })
  return bundle.text
}

// Imitates a site's fetch: its first answer is a 500, which does not reject the promise.
const collectTokens = 'globalThis.events = []\nconst take = async (token) => new Response("", { status: events.push(token) > 1 ? 200 : 500 })\nconst root = document.querySelector("main")\n'
const react = `import { createRoot } from 'react-dom/client'
${collectTokens}const app = createRoot(root)
app.render(<Login nonce="n-1" onToken={take} />)
globalThis.unmount = () => app.unmount()`
const vue = `import { createApp } from 'vue'
${collectTokens}const app = createApp(Login, { nonce: 'n-1', onToken: take })
app.mount(root)
globalThis.unmount = () => app.unmount()`
const programs = { 'react.jsx': react, 'vue.js': vue }
for (const [name, program] of Object.entries(programs)) {
  browserTest(`client README: ${name} logs in`, { site: true, clients }, async ({ hub, site, visit }) => {
    embed(site, hub)
    site.files['/'] = '<!doctype html><html lang="en"><title>A site</title><main></main><script type="module" src="/app.js"></script></html>'
    site.files['/app.js'] = await bundleSnippet(name, hub.url, program)
    const page = await visit(site.url)
    await logIn(page, hub, 'Ann')
    const [token, ...more] = await page.evaluate('events')
    assert.equal(claims(token).nonce, 'n-1')
    assert.deepEqual(more, [token], 'a 500 counts as a login')
  })
}

const hooks = { 'hook.jsx': react, 'composable.js': vue }
for (const [name, program] of Object.entries(hooks)) {
  browserTest(`client README: ${name} draws a login`, { site: true, clients }, async ({ hub, site, visit }) => {
    site.policy = sitePolicy(hub.url)
    site.files['/'] = '<!doctype html><html lang="en"><title>A site</title><main></main><script type="module" src="/app.js"></script></html>'
    site.files['/app.js'] = await bundleSnippet(name, hub.url, program)
    const page = await visit(site.url)
    const shown = async () => (await page.waitForSelector('img[src*="/qr."]').then((code) => code.getAttribute('src'))).split('/').at(-2)
    const ticket = await shown()
    await page.waitForSelector('text=/^ ?[1-9][0-9]* s /')
    await callAsPhone(hub.url, ticket, 'reject', 'Ann')
    await page.click('button')
    const second = await shown()
    await callAsPhone(hub.url, second, 'scan', 'Ann')
    await page.waitForSelector('text=Scanned: confirm on your phone')
    await callAsPhone(hub.url, second, 'confirm', 'Ann', { match: await page.textContent('b') })
    await page.waitForSelector('text=Logged in')
    const [token, ...more] = await page.evaluate('events')
    assert.equal(claims(token).nonce, 'n-1')
    assert.deepEqual(more, [token], 'a 500 counts as a login')
    await page.reload()
    const third = await shown()
    await page.evaluate('unmount()')
    await waitFor(async () => (await callAsPhone(hub.url, third, 'scan', 'Ann')).reason === 'cancelled_here')
  })
}

browserTest('package: works in a browser without a bundler', { site: true, clients }, async ({ hub, site, visit }) => {
  const home = join(install(hub.url).dir, 'node_modules/loginhub-client')
  for (const file of readdirSync(home, { recursive: true })) {
    if (file.endsWith('.js')) site.files[`/client/${file}`] = readFileSync(join(home, file), 'utf8')
  }
  const { exports: { '.': { default: module }, './login-qr.js': { default: widget } } } = JSON.parse(readFileSync(join(home, 'package.json'), 'utf8'))
  site.files['/'] = `<!doctype html><html lang="en"><title>A site</title>
<script type="importmap">{"imports": {"loginhub-client": "${join('/client', module)}", "loginhub-client/login-qr.js": "${join('/client', widget)}"}}</script>
<login-qr hub="${hub.url}" client="demo" login-nonce="n-1"></login-qr>
<script type="module">import 'loginhub-client/login-qr.js'; import { createLogin } from 'loginhub-client'; globalThis.createLogin = createLogin</script></html>`
  const page = await visit(site.url)
  await ticketOf(page)
  assert.equal(await page.evaluate('typeof createLogin'), 'function')
})
