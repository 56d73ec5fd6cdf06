import { Problem } from './ticket.js'

const CURVE = { name: 'ECDH', namedCurve: 'P-256' }

/** @param {string} text */
const bytes = (text) => Uint8Array.from(text, (c) => c.charCodeAt(0))

/** @param {string} text */
const fromBase64 = (text) => atob(text.replace(/-/g, '+').replace(/_/g, '/'))

/**
 * Makes a key pair whose private key no script can read; undefined without WebCrypto, as on http.
 *
 * @type {import('./internal.js').CreateKey}
 */
export async function createKey(subtle) {
  try {
    const { publicKey, privateKey } = await subtle.generateKey(CURVE, false, ['deriveBits'])
    return { jwk: await subtle.exportKey('jwk', publicKey), privateKey }
  } catch { /* the token comes as it is */ }
}

/**
 * Decrypts the token of a view, a JWE: ECDH-ES (RFC 7518, section 4.6) and A256GCM.
 *
 * @type {import('./internal.js').DecryptToken}
 */
export async function decryptToken(subtle, key, view) {
  try {
    const [head, , iv, text, tag] = view.token.split('.')
    const epk = await subtle.importKey('jwk', JSON.parse(fromBase64(head)).epk, CURVE, false, [])
    const secret = new Uint8Array(await subtle.deriveBits({ name: 'ECDH', public: epk }, key, 256))
    const hash = await subtle.digest('SHA-256', new Uint8Array([0, 0, 0, 1, ...secret, ...bytes('\0\0\0\x07A256GCM\0\0\0\0\0\0\0\0\0\0\x01\0')]))
    const aes = await subtle.importKey('raw', hash, 'AES-GCM', false, ['decrypt'])
    const token = await subtle.decrypt({ name: 'AES-GCM', iv: bytes(fromBase64(iv)), additionalData: bytes(head) }, aes, bytes(fromBase64(text) + fromBase64(tag)))
    return { ...view, token: new TextDecoder().decode(token), token_type: 'Bearer' }
  } catch (err) {
    throw new Problem('token_not_accepted', 0, String(err))
  }
}
