import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { once } from 'node:events'
import { callAsPhone } from './phone.js'
import { browserTest, inState, logIn, onScreen, phonePath, scanAs } from './browser.js'

// Each of these runs if it is used as markup, script, style or URL.
const HOSTILE = [
  '<img src=x onerror=hacked(1)>',
  '"><script>hacked(1)</script>',
  "';hacked(1)//",
  '</title><svg onload=hacked(1)>',
  '${hacked(1)}{{constructor.constructor("hacked(1)")()}}',
]

/** Records whether one of these texts ran. */
const watchForScripts = (page) => page.addInitScript(() => {
  globalThis.hacked = () => { globalThis.broken = true }
})
const assertNoScriptRan = async (page) => assert.deepEqual(
  await page.evaluate(() => [globalThis.broken, {}.polluted, [].polluted, document.querySelectorAll('img[src="x"], svg[onload]').length]),
  [undefined, undefined, undefined, 0])

async function callPhone(hub, ticket, action, body) {
  const answer = await fetch(`${hub.url}/api/login/tickets/${ticket}/${action}`, {
    method: 'POST', headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ provider: 'sandbox', code: `sandbox:eve:${Math.random()}`, ...body }),
  })
  assert.equal(answer.status, 200, await answer.text())
}

browserTest('hostile nicknames: shown as text', {}, async ({ hub, visit }) => {
  const page = await visit('/', { prepare: watchForScripts })
  for (const nickname of HOSTILE) {
    const ticket = new URL(await phonePath(page), hub.url).pathname.split('/').pop()
    await callPhone(hub, ticket, 'scan', { user: { nickname } })
    await inState(page, 'scanned')
    assert.equal(await page.textContent('#face .name'), nickname)
    await assertNoScriptRan(page)
    await callPhone(hub, ticket, 'confirm', { user: { nickname } })
    await page.waitForSelector('#login[data-state="consumed"], #login[data-state="done"]')
    await assertNoScriptRan(page)
    await page.reload()
  }
})

browserTest('hostile avatar: refused or not loaded', { expected: /Failed to load|ERR_/ }, async ({ hub, visit }) => {
  const page = await visit('/', { prepare: watchForScripts })
  const path = await phonePath(page)
  const ticket = new URL(path, hub.url).pathname.split('/').pop()
  for (const avatar_url of ['javascript:hacked(1)', 'data:text/html,<script>hacked(1)</script>', 'http://127.0.0.1/x', 'https://a@127.0.0.1/', '//127.0.0.1/x']) {
    const answer = await fetch(`${hub.url}/api/login/tickets/${ticket}/scan`, {
      method: 'POST', headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ provider: 'sandbox', code: `sandbox:eve:${Math.random()}`, user: { avatar_url } }),
    })
    assert.equal(answer.status, 400, avatar_url)
  }
  // The hub accepts this URL. Its quotes and brackets must not end the attribute.
  const host = new URL(hub.url).host
  await callPhone(hub, ticket, 'scan', { user: { nickname: 'eve', avatar_url: `https://${host}/"onerror="hacked(1)"><script>hacked(1)</script>` } })
  await inState(page, 'scanned')
  await page.waitForSelector('#face .name')
  assert.equal(await page.locator('#face img[src]').count(), 0)
  await assertNoScriptRan(page)
})

browserTest('hostile label: shown as text on page and phone', {
  clients: `clients:
  - id: shop
    label: {zh: '${HOSTILE[0]}', en: '</title><script>hacked(1)</script>'}
    origins: [ORIGIN]
`,
}, async ({ visit }) => {
  for (const locale of ['zh-CN', 'en-US']) {
    const page = await visit('/', { prepare: watchForScripts, locale })
    const phone = await visit(await phonePath(page), { prepare: watchForScripts, locale })
    await scanAs(phone, 'ann')
    await onScreen(phone, 'consent')
    assert.match(await phone.textContent('body'), /hacked\(1\)/) // shown as text
    await assertNoScriptRan(page)
    await assertNoScriptRan(phone)
  }
})

browserTest('hostile URL, error and view: the page is unchanged', { expected: /status of 4\d\d/ }, async ({ visit }) => {
  const hostileURL = await visit(`/?client_id=${encodeURIComponent(HOSTILE[1])}`, { prepare: watchForScripts })
  await assertNoScriptRan(hostileURL)
  const landing = await visit(`/s/${encodeURIComponent(HOSTILE[0])}`, { prepare: watchForScripts })
  await assertNoScriptRan(landing)
  // A hostile hub: errors with markup, views with prototypes.
  for (const code of [HOSTILE[0], 'login_disabled']) { // the detail of a known code is shown
    const page = await visit('/', {
      prepare: (page) => {
        watchForScripts(page)
        page.route('**/api/login/tickets', (route) => route.fulfill({
          status: 403, contentType: 'application/problem+json',
          body: `{"code":"${code}","detail":"${HOSTILE[0]}","title":"</p><svg onload=hacked(1)>","__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}}`,
        }))
      },
    })
    await inState(page, 'error')
    await assertNoScriptRan(page)
    assert.equal((await page.textContent('#hint')).includes(HOSTILE[0]), code === 'login_disabled')
  }
  const view = await visit('/', {
    prepare: (page) => {
      watchForScripts(page)
      page.route('**/poll?*', (route) => route.fulfill({
        contentType: 'application/json',
        body: `{"state":"scanned","seq":9,"__proto__":{"polluted":1,"user":{"nickname":"x"}},"user":{"__proto__":{"polluted":1},"nickname":"<img src=x onerror=hacked(1)>","avatar_url":"javascript:hacked(1)"}}`,
      }))
      page.addInitScript(() => { delete globalThis.WebSocket })
    },
  })
  await inState(view, 'scanned')
  await assertNoScriptRan(view)
})

/** Serves a page of another site with the URL in a frame. Returns the page's URL. */
async function serveFrame(t, src) {
  const server = createServer((_, answer) => {
    answer.setHeader('Content-Type', 'text/html')
    answer.end(`<iframe src="${src}" width="900" height="700"></iframe>`)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  return `http://127.0.0.1:${server.address().port}/`
}

const framingClients = `clients: [{id: demo, origins: [ORIGIN, SITE]}]
`

browserTest('framing: the login page by its own sites only, the phone page by none', {
  host: 'hub.test', site: true, clients: framingClients, expected: /frame-ancestors|X-Frame-Options|policy|refused/i,
}, async ({ hub, site, visit, t }) => {
  const own = await visit('/')
  const phone = await phonePath(own)
  site.embedder = 'unsafe-none'
  site.files = Object.fromEntries(['/', phone].map((path) => [`/frames${path.split('?')[0]}`, `<iframe src="${new URL(path, hub.url).href}" width="900" height="700"></iframe>`]))
  // The client's own site may frame the page. So frames work here, and the errors below are refusals.
  const allowed = await visit(`${site.url}/frames/`)
  await inState(allowed.frames()[1], 'pending')

  const otherSites = await Promise.all(['/', phone].map((path) => serveFrame(t, new URL(path, hub.url).href)))
  for (const address of [...otherSites, `${site.url}/frames${phone.split('?')[0]}`]) {
    const page = await own.context().newPage() // visit() forbids requests to other hosts
    await page.goto(address)
    const inner = page.frames()[1]
    await inner.waitForURL(/^chrome-error:/)
    assert.equal(await inner.$('#login, #phone'), null, address)
    await page.close()
  }
})

browserTest('ticket fixation: a ticket in the URL is ignored', {}, async ({ hub, visit }) => {
  // A valid ticket of the attacker, with its secret.
  const created = await fetch(`${hub.url}/api/login/tickets`, { method: 'POST' })
  const { ticket, secret } = await created.json()
  const query = `ticket=${ticket}&secret=${secret}`
  const requests = []
  const page = await visit(`/?${query}#${query}`, {
    prepare: (opened) => {
      opened.on('request', (request) => requests.push(`${request.url()} ${request.headers().authorization} ${request.postData()}`))
      opened.on('websocket', (socket) => requests.push(socket.url()))
    },
  })
  const path = await phonePath(page)
  assert.ok(!path.includes(ticket), 'the page uses the ticket from its URL')
  assert.ok((await page.getAttribute('#qr', 'src')).includes(path.split('?')[0].split('/').pop()))

  assert.equal((await callAsPhone(hub.url, ticket, 'confirm', 'mallory')).state, 'confirmed')
  const poll = await fetch(`${hub.url}/api/login/tickets/${ticket}/poll`, { headers: { Authorization: `Bearer ${secret}` } })
  assert.equal((await poll.json()).state, 'confirmed') // the attacker's ticket works
  assert.equal(await page.getAttribute('#login', 'data-state'), 'pending')

  // The page's own ticket works, and no request contains the attacker's ticket.
  const phone = await visit(path)
  await logIn(phone, page, 'Ann')
  const [document, ...rest] = requests
  assert.ok(document.includes(ticket) && rest.length > 3, `too few requests recorded: ${requests.length} requests`)
  for (const request of rest) assert.ok(!request.includes(ticket) && !request.includes(secret), request)
})

browserTest('login switched off: the page shows it and does not retry', { expected: /status of 403/ }, async ({ visit }) => {
  let requests = 0
  const page = await visit('/', {
    prepare: (page) => page.route('**/api/login/tickets', (route) => {
      requests++
      return route.fulfill({ status: 403, contentType: 'application/problem+json', body: '{"code":"login_disabled","status":403,"title":"QR login is switched off here"}' })
    }),
  })
  await inState(page, 'error')
  await page.waitForFunction((since) => performance.now() - since > 3000, await page.evaluate(() => performance.now()))
  assert.equal(requests, 1)
})
