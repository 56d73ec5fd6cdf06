import assert from 'node:assert/strict'
import { createCipheriv, createHash, createPublicKey, diffieHellman, generateKeyPairSync } from 'node:crypto'
import { test } from 'node:test'
import { confirmed, login, settle } from './fakes.js'

const { subtle } = globalThis.crypto

/** Encrypts as the hub does, without WebCrypto. */
function encrypt(jwk, token) {
  const own = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const { kty, crv, x, y } = own.publicKey.export({ format: 'jwk' })
  const head = Buffer.from(JSON.stringify({ alg: 'ECDH-ES', enc: 'A256GCM', cty: 'JWT', epk: { kty, crv, x, y } })).toString('base64url')
  const secret = diffieHellman({ privateKey: own.privateKey, publicKey: createPublicKey({ key: jwk, format: 'jwk' }) })
  const info = Buffer.from('0000000741323536 47434d0000000000000000 00000100'.replaceAll(' ', ''), 'hex')
  const key = createHash('sha256').update(Buffer.from([0, 0, 0, 1])).update(secret).update(info).digest()
  const cipher = createCipheriv('aes-256-gcm', key, Buffer.alloc(12, 7)).setAAD(Buffer.from(head))
  const text = Buffer.concat([cipher.update(token), cipher.final()])
  return [head, '', Buffer.alloc(12, 7).toString('base64url'), text.toString('base64url'), cipher.getAuthTag().toString('base64url')].join('.')
}

/** Waits for WebCrypto, which works in other threads. */
async function until(condition) {
  for (const end = Date.now() + 10000; !condition();) {
    assert.ok(Date.now() < end, `${condition} did not become true`)
    await settle()
  }
}

/** A login with a key, and the confirmed view for it. */
async function start(t, options) {
  const passed = []
  const l = await login(t, { subtle, onToken: (token, view) => { passed.push([token, view.token, view.token_type]) }, ...options })
  const created = () => l.hub.calls.filter((call) => call.path === '/api/login/tickets')
  await until(() => l.hub.socket)
  const jwk = () => JSON.parse(created().at(-1).init.body).jwk
  return { ...l, passed, created, jwk, view: () => ({ ...confirmed, token: encrypt(jwk(), 'J.W.T~é'), token_type: 'JWE' }), state: () => l.states.at(-1) }
}

const plain = ['J.W.T~é', 'J.W.T~é', 'Bearer']

test('token key: the site gets the decrypted token, over the socket and a poll after a wake', async (t) => {
  const l = await start(t)
  assert.deepEqual([l.jwk().kty, l.jwk().crv, l.jwk().d], ['EC', 'P-256', undefined])
  l.hub.socket.sendView(l.view())
  await until(() => l.hub.socket.sent.length)
  assert.deepEqual(l.passed, [plain])

  const other = await start(t)
  assert.notEqual(other.jwk().x, l.jwk().x)
  other.hide(true)
  other.hide(false)
  other.hub.requests('poll').at(-1).answer(200, other.view())
  await until(() => other.passed.length)
  assert.deepEqual(other.passed, [plain])
})

test('token key: a token that the site refused is passed again', async (t) => {
  const passed = []
  const l = await start(t, { onToken: (token) => passed.push(token) < 2 && Promise.reject(new Error('busy')) })
  l.hub.socket.sendView(l.view())
  await until(() => passed.length)
  await settle()
  await l.clock.advance(1000)
  await until(() => l.hub.socket.sent.length)
  assert.deepEqual(passed, ['J.W.T~é', 'J.W.T~é'])
})

test('token key: a changed token is an error at once, and a new code has another key', async (t) => {
  const l = await start(t)
  const { x } = l.jwk()
  const view = l.view()
  l.hub.socket.sendView({ ...view, token: view.token.replace(/\.\.[^.]+/, `..${'A'.repeat(16)}`) }) // another nonce
  await until(() => l.state().state === 'error')
  assert.deepEqual([l.state().error.code, l.passed], ['token_not_accepted', []])
  l.page.refresh()
  await until(() => l.created().length === 2 && l.hub.sockets.length === 2)
  assert.notEqual(l.jwk().x, x)
  l.hub.socket.sendView(l.view())
  await until(() => l.passed.length)
  assert.deepEqual(l.passed, [plain])
})

test('token key: nothing follows after the login was stopped', async (t) => {
  const l = await start(t)
  l.hub.socket.sendView(l.view())
  l.page.stop()
  let made
  const slow = { generateKey: () => new Promise((done) => { made = done }) }
  const early = await login(t, { subtle: slow })
  early.page.stop()
  made({})
  const later = await start(t) // takes longer than what was begun before
  later.hub.socket.sendView(later.view())
  await until(() => later.passed.length)
  assert.deepEqual([l.passed, early.hub.calls], [[], []])
})

test('token key: without a key, or from an older node, the token comes as it is', async (t) => {
  const broken = { generateKey: () => Promise.reject(new Error('forbidden by policy')) }
  for (const options of [{ subtle: undefined }, { subtle: broken }, {}]) {
    const l = await start(t, options)
    assert.equal(Boolean(l.jwk()), !('subtle' in options))
    l.hub.socket.sendView({ ...confirmed, token_type: 'Bearer' })
    await until(() => l.passed.length)
    assert.deepEqual(l.passed, [['T', 'T', 'Bearer']])
  }
})
