import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { once } from 'node:events'
import { phoneCalls } from './phone.js'
import { inState, logsIn, onScreen, phonePath, scanAs, story } from './story.js'

// Each of these runs if it is ever taken for markup, a script, a style or an address.
const HOSTILE = [
  '<img src=x onerror=hacked(1)>',
  '"><script>hacked(1)</script>',
  "';hacked(1)//",
  '</title><svg onload=hacked(1)>',
  '${hacked(1)}{{constructor.constructor("hacked(1)")()}}',
]

/** Notes whether anything of the above has run, and keeps prototypes under watch. */
const watched = (page) => page.addInitScript(() => {
  globalThis.hacked = () => { globalThis.broken = true }
})
const unhurt = async (page) => assert.deepEqual(
  await page.evaluate(() => [globalThis.broken, {}.polluted, [].polluted, document.querySelectorAll('img[src="x"], svg[onload]').length]),
  [undefined, undefined, undefined, 0])

async function call(hub, ticket, action, body) {
  const answer = await fetch(`${hub.url}/api/login/tickets/${ticket}/${action}`, {
    method: 'POST', headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ provider: 'sandbox', code: `sandbox:eve:${Math.random()}`, ...body }),
  })
  assert.equal(answer.status, 200, await answer.text())
}

for (const nickname of HOSTILE) {
  story(`hostile nickname: shown as text: ${nickname}`, {}, async ({ hub, visit }) => {
    const page = await visit('/', { prepare: watched })
    const path = await phonePath(page)
    const ticket = new URL(path, hub.url).pathname.split('/').pop()
    await call(hub, ticket, 'scan', { user: { nickname } })
    await inState(page, 'scanned')
    assert.equal(await page.textContent('#face .name'), nickname)
    await unhurt(page)
    await call(hub, ticket, 'confirm', { user: { nickname } })
    await page.waitForSelector('#login[data-state="consumed"], #login[data-state="done"]')
    await unhurt(page)
  })
}

story('hostile avatar: refused or not loaded', { expected: /Failed to load|ERR_/ }, async ({ hub, visit }) => {
  const page = await visit('/', { prepare: watched })
  const path = await phonePath(page)
  const ticket = new URL(path, hub.url).pathname.split('/').pop()
  for (const avatar_url of ['javascript:hacked(1)', 'data:text/html,<script>hacked(1)</script>', 'http://127.0.0.1/x', 'https://a@127.0.0.1/', '//127.0.0.1/x']) {
    const answer = await fetch(`${hub.url}/api/login/tickets/${ticket}/scan`, {
      method: 'POST', headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ provider: 'sandbox', code: `sandbox:eve:${Math.random()}`, user: { avatar_url } }),
    })
    assert.equal(answer.status, 400, avatar_url)
  }
  // What passes has quotes and brackets: it must not leave its attribute.
  const host = new URL(hub.url).host
  await call(hub, ticket, 'scan', { user: { nickname: 'eve', avatar_url: `https://${host}/"onerror="hacked(1)"><script>hacked(1)</script>` } })
  await inState(page, 'scanned')
  await page.waitForSelector('#face .name')
  await unhurt(page)
})

story('hostile label: shown as text on page and phone', {
  clients: `clients:
  - id: shop
    label: {zh: '${HOSTILE[0]}', en: '</title><script>hacked(1)</script>'}
    origins: [ORIGIN]
`,
}, async ({ visit }) => {
  for (const locale of ['zh-CN', 'en-US']) {
    const page = await visit('/', { prepare: watched, locale })
    const phone = await visit(await phonePath(page), { prepare: watched, locale })
    await scanAs(phone, 'ann')
    await onScreen(phone, 'consent')
    assert.match(await phone.textContent('body'), /hacked\(1\)/) // it is there, as text
    await unhurt(page)
    await unhurt(phone)
  }
})

story('hostile URL, error and view: the page is unchanged', { expected: /status of 4\d\d/ }, async ({ visit }) => {
  const strange = await visit(`/?client_id=${encodeURIComponent(HOSTILE[1])}`, { prepare: watched })
  await unhurt(strange)
  const landing = await visit(`/s/${encodeURIComponent(HOSTILE[0])}`, { prepare: watched })
  await unhurt(landing)
  // A hub that answers what it likes: errors with markup, views with prototypes.
  const page = await visit('/', {
    prepare: (page) => {
      watched(page)
      page.route('**/api/login/tickets', (route) => route.fulfill({
        status: 403, contentType: 'application/problem+json',
        body: `{"code":"<img src=x onerror=hacked(1)>","detail":"<img src=x onerror=hacked(1)>","title":"</p><svg onload=hacked(1)>","__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}}`,
      }))
    },
  })
  await inState(page, 'error')
  await unhurt(page)
  const view = await visit('/', {
    prepare: (page) => {
      watched(page)
      page.route('**/poll?*', (route) => route.fulfill({
        contentType: 'application/json',
        body: `{"state":"scanned","seq":9,"__proto__":{"polluted":1,"user":{"nickname":"x"}},"user":{"__proto__":{"polluted":1},"nickname":"<img src=x onerror=hacked(1)>","avatar_url":"javascript:hacked(1)"}}`,
      }))
      page.addInitScript(() => { delete globalThis.WebSocket })
    },
  })
  await inState(view, 'scanned')
  await unhurt(view)
})

/** A page of another site that frames the path. */
async function frame(t, src) {
  const server = createServer((_, answer) => {
    answer.setHeader('Content-Type', 'text/html')
    answer.end(`<iframe src="${src}" width="900" height="700"></iframe>`)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  return `http://127.0.0.1:${server.address().port}/`
}

const framed = `clients: [{id: demo, origins: [ORIGIN, SITE]}]
`

story('framing: the login page by its own sites only, the phone page by none', {
  host: 'hub.test', site: true, clients: framed, expected: /frame-ancestors|X-Frame-Options|policy|refused/i,
}, async ({ hub, site, visit, t }) => {
  const own = await visit('/')
  const phone = await phonePath(own)
  site.embedder = 'unsafe-none'
  site.files = Object.fromEntries(['/', phone].map((path) => [`/frames${path.split('?')[0]}`, `<iframe src="${new URL(path, hub.url).href}" width="900" height="700"></iframe>`]))
  // Its client's own site may: so what the others see below is the refusal, and not a frame that never works.
  const allowed = await visit(`${site.url}/frames/`)
  await inState(allowed.frames()[1], 'pending')

  const strangers = await Promise.all(['/', phone].map((path) => frame(t, new URL(path, hub.url).href)))
  for (const address of [...strangers, `${site.url}/frames${phone.split('?')[0]}`]) {
    const page = await own.context().newPage() // watched pages may ask no strangers
    await page.goto(address)
    const inner = page.frames()[1]
    await inner.waitForURL(/^chrome-error:/)
    assert.equal(await inner.$('#login, #phone'), null, address)
    await page.close()
  }
})

story('ticket fixation: a ticket in the URL is ignored', {}, async ({ hub, visit }) => {
  // Mallory's own, alive, with all that there is to know of it.
  const made = await fetch(`${hub.url}/api/login/tickets`, { method: 'POST' })
  const { ticket, secret } = await made.json()
  const query = `ticket=${ticket}&secret=${secret}`
  const asked = []
  const page = await visit(`/?${query}#${query}`, {
    prepare: (opened) => {
      opened.on('request', (request) => asked.push(`${request.url()} ${request.headers().authorization} ${request.postData()}`))
      opened.on('websocket', (socket) => asked.push(socket.url()))
    },
  })
  const path = await phonePath(page)
  assert.ok(!path.includes(ticket), 'the page shows a ticket that it was given')
  assert.ok((await page.getAttribute('#qr', 'src')).includes(path.split('?')[0].split('/').pop()))

  assert.equal((await phoneCalls(hub.url, ticket, 'confirm', 'mallory')).state, 'confirmed')
  const poll = await fetch(`${hub.url}/api/login/tickets/${ticket}/poll`, { headers: { Authorization: `Bearer ${secret}` } })
  assert.equal((await poll.json()).state, 'confirmed') // it was worth something, to her
  assert.equal(await page.getAttribute('#login', 'data-state'), 'pending')

  // The line of the page's own ticket is alive, and hers has left nothing on it.
  const phone = await visit(path)
  await logsIn(phone, page, 'Ann')
  const [document, ...rest] = asked
  assert.ok(document.includes(ticket) && rest.length > 3, `is this blind? ${asked.length} requests`)
  for (const one of rest) assert.ok(!one.includes(ticket) && !one.includes(secret), one)
})

story('login switched off: the page shows it and does not retry', { expected: /status of 403/ }, async ({ visit }) => {
  let asked = 0
  const page = await visit('/', {
    prepare: (page) => page.route('**/api/login/tickets', (route) => {
      asked++
      return route.fulfill({ status: 403, contentType: 'application/problem+json', body: '{"code":"login_disabled","status":403,"title":"QR login is switched off here"}' })
    }),
  })
  await inState(page, 'error')
  await page.waitForFunction((since) => performance.now() - since > 3000, await page.evaluate(() => performance.now()))
  assert.equal(asked, 1)
})
