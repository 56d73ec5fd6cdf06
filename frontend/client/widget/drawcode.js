import { correction, generate } from './lean-qr.js'

const MAC_LENGTH = 8 // bytes

/**
 * Returns a frame of a living code (api/PROTOCOL.md). Rejects without WebCrypto, which a page has only
 * at https addresses and on localhost.
 *
 * @param {string} frameKey 32 bytes in base64url
 * @param {number} number
 */
export async function createFrame(frameKey, number) {
  const { subtle } = crypto
  const raw = Uint8Array.from(atob(frameKey.replace(/-/g, '+').replace(/_/g, '/')), (c) => c.charCodeAt(0))
  const key = await subtle.importKey('raw', raw, { name: 'HMAC', hash: 'SHA-256' }, false, ['sign'])
  const mac = new Uint8Array(await subtle.sign('HMAC', key, new TextEncoder().encode(String(number)))).slice(0, MAC_LENGTH)
  return `${number}.${btoa(String.fromCharCode(...mac)).replace(/\+/g, '-').replace(/\//g, '_').replace('=', '')}`
}

/**
 * Draws a QR code with its quiet zone, one pixel for each module. The error correction is the hub's own: M.
 *
 * @param {HTMLCanvasElement} canvas
 * @param {string} text
 */
export function drawCode(canvas, text) {
  /** @type {any} */ (generate)(text, { minCorrectionLevel: correction.M }).toCanvas(canvas, { on: [0, 0, 0], off: [255, 255, 255] })
}
