import { timeout } from './timeout.js'

// A browser's clock may be wrong, so the hub's `Date` header is the reference. LEEWAY covers the rest.
const LEEWAY = 60 // seconds

/**
 * Verifies a login token as the site's back end must: signature by the hub's published keys, typ,
 * iss, aud, nonce, exp. Returns `{result, reason, header, claims}`. The result is `verified`,
 * `unverified` (this browser cannot check signatures: no secure context, or no Ed25519) or
 * `failed`. Throws if the keys cannot be fetched.
 */
export async function verifyToken(token, expected, { fetch = globalThis.fetch, subtle = globalThis.crypto?.subtle, step = 250 } = {}) {
  const parts = token.split('.')
  const header = decodeJSON(parts[0])
  const claims = decodeJSON(parts[1])
  if (parts.length !== 3 || !header || !claims) return { result: 'failed', reason: 'form', header: {}, claims: {} }
  const answer = await fetchKeys(fetch, step)
  if (!answer.ok) throw new Error(`keys: status ${answer.status}`)
  const { keys } = await answer.json()
  const now = (Date.parse(answer.headers.get('Date')) || Date.now()) / 1000
  const reason = checkClaims(header, claims, expected, now)
  if (reason) return { result: 'failed', reason, header, claims }
  const key = keys.find((key) => key?.kid === header.kid && key.kty === 'OKP' && key.crv === 'Ed25519')
  if (!key) return { result: 'failed', reason: 'key', header, claims }
  const result = await verifySignature(subtle, key, parts)
  return { result, reason: result === 'failed' ? 'signature' : '', header, claims }
}

// A request on a connection that died while the page was hidden hangs. Until one is answered, another
// follows. A browser keeps at most six connections to one host: six requests end early, so that the
// last two get new connections.
async function fetchKeys(fetch, step) {
  let answered = false
  const attempts = Array.from({ length: 8 }, async (_, i) => {
    await new Promise((done) => setTimeout(done, i * step))
    if (answered) return
    const answer = await fetch('/.well-known/jwks.json', { cache: 'no-store', signal: timeout(i < 6 ? 1000 : 5000) })
    answered = true
    return answer
  })
  return Promise.any(attempts).catch((err) => { throw err.errors[0] })
}

function checkClaims(header, claims, expected, now) {
  if (header.typ !== 'login+jwt' || header.alg !== 'EdDSA') return 'typ'
  if (claims.iss !== expected.iss) return 'iss'
  if (![claims.aud].flat().includes(expected.aud)) return 'aud'
  if (claims.nonce !== expected.nonce) return 'nonce'
  if (!(claims.exp > now - LEEWAY)) return 'exp'
  return ''
}

async function verifySignature(subtle, { kty, crv, x }, [header, payload, signature]) {
  let key
  try {
    // Without `alg`: browsers differ in the values that they accept.
    key = await subtle.importKey('jwk', { kty, crv, x }, 'Ed25519', false, ['verify'])
  } catch {
    return 'unverified'
  }
  const text = new TextEncoder().encode(`${header}.${payload}`)
  try {
    return await subtle.verify('Ed25519', key, decodeBase64url(signature), text) ? 'verified' : 'failed'
  } catch {
    return 'failed' // not base64url
  }
}

function decodeJSON(part) {
  try {
    return JSON.parse(new TextDecoder().decode(decodeBase64url(part)))
  } catch {
    return null
  }
}

function decodeBase64url(base64url) {
  const text = atob(base64url.replace(/-/g, '+').replace(/_/g, '/'))
  return Uint8Array.from(text, (c) => c.charCodeAt(0))
}
