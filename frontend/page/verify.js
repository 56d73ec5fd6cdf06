// A browser's clock may be off; the hub's `Date` is the reference, this covers the rest.
const LEEWAY = 60

/**
 * Checks a login token as the site's back end must: signature by the hub's published keys, typ,
 * iss, aud, nonce, exp. Gives `{result, reason, header, claims}` with result `verified`,
 * `unverified` (this browser cannot check signatures: no secure context, or no Ed25519) or
 * `failed`; throws when the keys could not be fetched, which is no verdict on the token.
 */
export async function verifyToken(token, expected, { fetch = globalThis.fetch, subtle = globalThis.crypto?.subtle } = {}) {
  const parts = token.split('.')
  const header = decode(parts[0])
  const claims = decode(parts[1])
  if (parts.length !== 3 || !header || !claims) return { result: 'failed', reason: 'form', header: {}, claims: {} }
  const answer = await fetchKeys(fetch)
  if (!answer.ok) throw new Error(`keys: status ${answer.status}`)
  const { keys } = await answer.json()
  const now = (Date.parse(answer.headers.get('Date')) || Date.now()) / 1000
  const reason = wrong(header, claims, expected, now)
  if (reason) return { result: 'failed', reason, header, claims }
  const key = keys.find((key) => key?.kid === header.kid && key.kty === 'OKP' && key.crv === 'Ed25519')
  if (!key) return { result: 'failed', reason: 'key', header, claims }
  const result = await signed(subtle, key, parts)
  return { result, reason: result === 'failed' ? 'signature' : '', header, claims }
}

// A request can hang on a connection that died while the page was hidden; the next one takes another.
async function fetchKeys(fetch) {
  for (let tries = 1; ; tries++) {
    try {
      return await fetch('/.well-known/jwks.json', { cache: 'no-store', signal: AbortSignal.timeout(tries * 1000) })
    } catch (err) {
      if (err.name !== 'TimeoutError' || tries === 4) throw err
    }
  }
}

function wrong(header, claims, expected, now) {
  if (header.typ !== 'login+jwt' || header.alg !== 'EdDSA') return 'typ'
  if (claims.iss !== expected.iss) return 'iss'
  if (![claims.aud].flat().includes(expected.aud)) return 'aud'
  if (claims.nonce !== expected.nonce) return 'nonce'
  if (!(claims.exp > now - LEEWAY)) return 'exp'
  return ''
}

async function signed(subtle, { kty, crv, x }, [header, payload, signature]) {
  let key
  try {
    // Only the key's material: browsers differ in what they accept as its `alg`.
    key = await subtle.importKey('jwk', { kty, crv, x }, 'Ed25519', false, ['verify'])
  } catch {
    return 'unverified'
  }
  const text = new TextEncoder().encode(`${header}.${payload}`)
  try {
    return await subtle.verify('Ed25519', key, bytes(signature), text) ? 'verified' : 'failed'
  } catch {
    return 'failed' // not even base64url
  }
}

function decode(part) {
  try {
    return JSON.parse(new TextDecoder().decode(bytes(part)))
  } catch {
    return null
  }
}

function bytes(base64url) {
  const text = atob(base64url.replace(/-/g, '+').replace(/_/g, '/'))
  return Uint8Array.from(text, (c) => c.charCodeAt(0))
}
