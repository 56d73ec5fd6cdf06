import assert from 'node:assert/strict'
import { generateKeyPairSync, sign } from 'node:crypto'
import { test } from 'node:test'
import { verifyToken } from '../verify.js'

const { publicKey, privateKey } = generateKeyPairSync('ed25519')
const jwk = { ...publicKey.export({ format: 'jwk' }), kid: 'k1', alg: 'EdDSA', use: 'sig' }
const now = 1_800_000_000
const expected = { iss: 'https://hub.test', aud: 'demo', nonce: 'n' }
const good = { ...expected, sub: 'sandbox:小明', iat: now, exp: now + 300 }

const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url')

function token({ header = {}, claims = {}, key = privateKey } = {}) {
  const text = `${part({ typ: 'login+jwt', alg: 'EdDSA', kid: 'k1', ...header })}.${part({ ...good, ...claims })}`
  return `${text}.${sign(null, Buffer.from(text), key).toString('base64url')}`
}

// The hub's Date header is the reference, so the tests do not depend on their own clock.
const fetch = async () => new Response(JSON.stringify({ keys: [jwk] }), { headers: { Date: new Date(now * 1000).toUTCString() } })

test('verifyToken: valid, with claims in UTF-8', async () => {
  const { result, claims } = await verifyToken(token(), expected, { fetch })
  assert.equal(result, 'verified')
  assert.equal(claims.sub, 'sandbox:小明')
})

const refused = {
  signature: token({ key: generateKeyPairSync('ed25519').privateKey }),
  key: token({ header: { kid: 'other' } }),
  typ: token({ header: { typ: 'JWT' } }),
  iss: token({ claims: { iss: 'https://evil.test' } }),
  aud: token({ claims: { aud: 'other' } }),
  nonce: token({ claims: { nonce: 'other' } }),
  exp: token({ claims: { exp: now - 61 } }),
  form: 'not.a.token',
}
for (const [reason, bad] of Object.entries(refused)) {
  test(`verifyToken: wrong ${reason}`, async () => {
    const verdict = await verifyToken(bad, expected, { fetch })
    assert.deepEqual([verdict.result, verdict.reason], ['failed', reason])
  })
}

test('verifyToken: changed claims', async () => {
  const [header, , signature] = token().split('.')
  const { result, reason } = await verifyToken(`${header}.${part({ ...good, sub: 'sandbox:Eve' })}.${signature}`, expected, { fetch })
  assert.deepEqual([result, reason], ['failed', 'signature'])
})

test('verifyToken: algorithm "none" and an invalid signature', async () => {
  assert.equal((await verifyToken(token({ header: { alg: 'none' } }), expected, { fetch })).result, 'failed')
  assert.equal((await verifyToken(token().replace(/\.[^.]*$/, '.???'), expected, { fetch })).result, 'failed')
})

test('verifyToken: without Ed25519 unverified, but a wrong nonce fails', async () => {
  const without = [undefined, { importKey: () => Promise.reject(new DOMException('no', 'NotSupportedError')) }]
  for (const subtle of without) {
    // undefined would fall back to this machine's own
    const given = { fetch, subtle: subtle ?? null }
    assert.equal((await verifyToken(token(), expected, given)).result, 'unverified')
    assert.equal((await verifyToken(token({ claims: { nonce: 'x' } }), expected, given)).reason, 'nonce')
  }
})

test('verifyToken: fetches the keys again beside a request that hangs', async () => {
  let tries = 0
  const hangs = () => new Promise(() => {})
  const { result } = await verifyToken(token(), expected, { step: 1, fetch: () => (++tries < 4 ? hangs() : fetch()) })
  assert.equal(result, 'verified')
  const fails = () => Promise.reject(new TypeError('no network'))
  await assert.rejects(verifyToken(token(), expected, { step: 1, fetch: fails }), { name: 'TypeError' })
})

test('verifyToken: throws if the keys cannot be fetched', async () => {
  await assert.rejects(verifyToken(token(), expected, { fetch: async () => new Response('', { status: 503 }) }))
})
