import assert from 'node:assert/strict'
import { createPublicKey, verify } from 'node:crypto'
import { browserTest, inState, logIn, phonePath } from '../browser.js'
import { waitFor } from '../hub.js'
import { callAsPhone } from '../phone.js'
import { sitePolicy } from '../site.js'

const clients = `
clients:
  - {id: strict, origins: [ORIGIN, SITE], token_encryption: require}
  - {id: usual, origins: [ORIGIN]}
`
const siteScript = (hub) => `
import { createLogin } from '${hub}/assets/client/login.js'
createLogin({ hub: '${hub}', clientId: 'strict', onState: (snapshot) => { globalThis.snapshot = snapshot },
  onToken: (token, view) => { globalThis.passed = [token, view.token, view.token_type] } })
`

/** Records what the page's network carries: requests, answers and frames of sockets. */
async function record(page, traffic) {
  const session = await page.context().newCDPSession(page)
  session.on('Network.requestWillBeSent', ({ request }) => traffic.push(`${request.url} ${request.postData ?? ''}`))
  session.on('Network.webSocketFrameReceived', ({ response }) => traffic.push(response.payloadData))
  session.on('Network.loadingFinished', async ({ requestId }) => {
    const answer = await session.send('Network.getResponseBody', { requestId }).catch(() => null) // none for a 204
    if (answer) traffic.push(answer.body)
  })
  await session.send('Network.enable')
}

/** Verifies the signature with the published keys and returns the claims. */
async function verified(hub, token) {
  const [head, claims, signature] = token.split('.')
  const { kid } = JSON.parse(Buffer.from(head, 'base64url'))
  const { keys } = await fetch(`${hub.url}/.well-known/jwks.json`).then((answer) => answer.json())
  const key = createPublicKey({ key: keys.find((one) => one.kid === kid), format: 'jwk' })
  assert.ok(verify(null, Buffer.from(`${head}.${claims}`), key, Buffer.from(signature, 'base64url')))
  return JSON.parse(Buffer.from(claims, 'base64url'))
}

for (const transport of ['socket', 'long poll']) {
  browserTest(`sealed token: nothing on the network but the ${transport}'s JWE, and the site gets the JWT`, { site: true, clients }, async ({ hub, site, visit }) => {
    site.policy = sitePolicy(hub.url)
    site.files = { '/': '<!doctype html><html lang="en"><title>A site</title><script type="module" src="/site.js"></script></html>', '/site.js': siteScript(hub.url) }
    const traffic = []
    const page = await visit(site.url, {
      async prepare(opened) {
        if (transport === 'long poll') await opened.addInitScript(() => { delete globalThis.WebSocket })
        await record(opened, traffic)
      },
    })
    await waitFor(() => page.evaluate('globalThis.snapshot?.state === "pending"'))
    const ticket = await page.evaluate('snapshot.qrUrl.split("/").at(-1)')
    await callAsPhone(hub.url, ticket, 'scan', 'Ann')
    await callAsPhone(hub.url, ticket, 'confirm', 'Ann')
    await waitFor(() => page.evaluate('globalThis.passed && snapshot.state === "consumed"'))
    const [token, same, type] = await page.evaluate('passed')
    assert.deepEqual([same, type], [token, 'Bearer'])
    assert.equal((await verified(hub, token)).sub, 'sandbox:Ann')
    await waitFor(() => traffic.some((text) => text.includes('"JWE"')))
    const all = traffic.join('\n')
    assert.match(all, /"jwk":\{[^}]*"kty":"EC"/)
    assert.match(all, /"token":"[\w-]+\.\.[\w-]+\.[\w-]+\.[\w-]+"/)
    for (const part of token.split('.')) assert.ok(!all.includes(part), `the network had ${part}`)
  })
}

browserTest("sealed token: the hub's own page has a key for its first ticket and for the next", { site: true, clients }, async ({ visit }) => {
  const traffic = []
  const page = await visit('/?client_id=strict', { prepare: (opened) => record(opened, traffic) })
  for (const name of ['Ann', 'Bob']) {
    await inState(page, 'pending')
    await logIn(await visit(await phonePath(page)), page, name)
    await page.click('#not-me-done')
  }
  await inState(page, 'pending')
  const keys = traffic.filter((text) => /tickets \{/.test(text)).map((text) => JSON.parse(text.slice(text.indexOf('{'))).jwk.x)
  assert.equal(new Set(keys).size, 3)
  assert.ok(!traffic.some((text) => text.includes('"token":"') && !text.includes('"JWE"')))
})

const insecure = { host: 'hub.test', site: true, siteHost: 'site.test', clients }

browserTest('sealed token: a page without WebCrypto gets the token as it is', insecure, async ({ visit }) => {
  const page = await visit('/?client_id=usual')
  assert.equal(await page.evaluate('crypto.subtle'), undefined)
  const phone = await visit(await phonePath(page))
  await logIn(phone, page, 'Ann')
})

browserTest('sealed token: a page without WebCrypto says why a strict client refuses it', { ...insecure, expected: /status of 400/ }, async ({ hub, site, visit }) => {
  const page = await visit('/?client_id=strict')
  await inState(page, 'error')
  assert.equal(await page.textContent('#status'), '此处无法显示二维码')
  assert.match(await page.textContent('#login'), /jwk: required, because the client has token_encryption: require/)
  site.files = { '/': `<!doctype html><html lang="en"><script type="module" src="${hub.url}/assets/client/widget/login-qr.js"></script><login-qr client="strict"></login-qr></html>` }
  const embedded = await visit(site.url)
  await embedded.waitForSelector('login-qr .card[data-state="error"]')
  assert.match(await embedded.textContent('login-qr .hint'), /^The code cannot be shown here\. .*\njwk: required/)
})
