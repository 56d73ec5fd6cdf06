import assert from 'node:assert/strict'
import { browserTest, inState, logIn, phonePath } from './browser.js'
import { sitePolicy } from './site.js'

const LATENCY = 300 // ms for each request

/**
 * Opens a page on a slow network, until the image `code` is drawn. Returns the requests up to then, each
 * with its round: one more than that of the last request that was answered before it began.
 */
async function load(visit, url, code) {
  const all = new Map()
  const page = await visit(url, {
    async prepare(opened) {
      const session = await opened.context().newCDPSession(opened)
      const note = (requestId, values) => all.has(requestId) && Object.assign(all.get(requestId), values)
      session.on('Network.requestWillBeSent', ({ requestId, request, timestamp }) => {
        if (/^http/.test(request.url)) all.set(requestId, { path: new URL(request.url).pathname, began: timestamp, end: Infinity })
      })
      session.on('Network.responseReceived', ({ requestId, response: { headers } }) => note(requestId, { headers }))
      session.on('Network.loadingFinished', ({ requestId, timestamp, encodedDataLength: bytes }) => note(requestId, { end: timestamp, bytes }))
      await session.send('Network.enable')
      await session.send('Network.emulateNetworkConditions', { offline: false, latency: LATENCY, downloadThroughput: -1, uploadThroughput: -1 })
    },
  })
  const drawn = await page.waitForSelector(code)
  await drawn.evaluate((img) => img.decode())
  const requests = []
  for (const request of [...all.values()].sort((a, b) => a.began - b.began)) {
    const earlier = requests.filter(({ end }) => end < request.began)
    requests.push({ ...request, round: 1 + Math.max(0, ...earlier.map(({ round }) => round)) })
  }
  const last = requests.find(({ path }) => path.endsWith('/qr.svg'))
  return { page, last, requests: requests.filter(({ began }) => began <= last.began) }
}

const lines = (requests) => requests.map(({ round, path, bytes }) => `${round} ${path} ${bytes}`).join('\n')

browserTest('loading: the code is drawn after three round trips', {}, async ({ visit }) => {
  const { page, last, requests } = await load(visit, '/', '#qr')
  await inState(page, 'pending')
  assert.equal(last.round, 3, lines(requests))
  const second = requests.filter(({ round }) => round === 2)
  assert.ok(second.length <= 6, `more requests at once than HTTP/1.1 has connections:\n${lines(requests)}`)
  for (const { path, headers, bytes } of requests.filter((request) => request.path.startsWith('/assets/'))) {
    assert.match(headers['cache-control'] ?? headers['Cache-Control'], /immutable/, path)
    assert.equal(headers['content-encoding'] ?? headers['Content-Encoding'], 'gzip', path)
    assert.ok(bytes < 14600, `${path} has ${bytes} bytes, more than the first window of a connection`) // RFC 6928
  }
})

browserTest('loading: the widget is one file', { site: true, clients: 'clients: [{id: demo, origins: [SITE]}]' }, async ({ hub, site, visit }) => {
  site.policy = sitePolicy(hub.url)
  site.files = { '/': `<!doctype html><html lang="en"><script type="module" src="${hub.url}/assets/client/widget/login-qr.js"></script><login-qr client="demo"></login-qr></html>` }
  const { requests } = await load(visit, site.url, 'login-qr .code')
  const scripts = requests.filter(({ path }) => path.startsWith('/assets/'))
  assert.deepEqual(scripts.map(({ path }) => path), ['/assets/client/widget/login-qr.js'])
})

for (const [what, script] of Object.entries({
  'is too old': (route) => route.fulfill({ contentType: 'text/javascript', body: 'a syntax of tomorrow' }),
  'does not get the script': (route) => route.abort(),
})) {
  browserTest(`loading: a browser that ${what} shows a sentence`, { expected: /ERR_FAILED/ }, async ({ hub, visit }) => {
    for (const path of ['/', `/s/${'A'.repeat(22)}`]) {
      const page = await visit('/docs')
      page.removeAllListeners('pageerror') // the syntax error is the test
      await page.route(/page\.\w+\.js|phone\.\w+\.js/, script)
      await page.goto(hub.url + path)
      await page.waitForSelector('#unsupported', { state: 'visible' })
      assert.match(await page.innerText('body'), /Safari 15/)
      assert.ok(await page.isHidden('main'))
    }
  })
}

// What the oldest browsers of the client's README do not have.
const makeOld = (page) => page.addInitScript(() => {
  for (const [owner, names] of [
    [Object, ['hasOwn']], [AbortSignal, ['timeout', 'any']], [Array.prototype, ['at', 'findLast']], [Intl, ['Segmenter']], [globalThis, ['structuredClone']],
    [HTMLFormElement.prototype, ['requestSubmit']], [CSSStyleSheet.prototype, ['replaceSync']], [Element.prototype, ['ariaLabel', 'ariaHidden']],
  ]) for (const name of names) delete owner[name]
})

browserTest('loading: a login in the oldest supported browsers', { site: true, clients: 'clients: [{id: demo, origins: [SITE]}]' }, async ({ hub, site, visit }) => {
  site.files = { '/': `<!doctype html><html lang="en"><script type="module" src="${hub.url}/assets/client/widget/login-qr.js"></script><login-qr client="demo"></login-qr></html>` }
  site.policy = sitePolicy(hub.url).replace('default-src', "style-src 'unsafe-inline'; default-src")
  const page = await visit('/', { prepare: makeOld })
  const phone = await visit(await phonePath(page), { prepare: makeOld })
  await logIn(phone, page, '🇨🇳 Ann')
  assert.equal((await page.textContent('#who .avatar')).trim(), '🇨')
  const embedded = await visit(site.url, { prepare: makeOld })
  await embedded.waitForSelector('login-qr .card[data-state="pending"]')
  assert.equal(await embedded.$eval('login-qr .card', (card) => getComputedStyle(card).display), 'flex')
})
