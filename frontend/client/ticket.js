/** @import * as T from './types.js' */

/** A refusal of the hub, or `network`; `retryAfter` (seconds) only where the hub said so. */
export class Problem extends Error {
  /** @param {number=} retryAfter */
  constructor(code = '', status = 0, detail = '', retryAfter) {
    super(detail || code)
    this.code = code
    this.status = status
    this.detail = detail
    this.retryAfter = retryAfter
  }

  /** Whether the same request may succeed later. */
  get passing() {
    return !this.status || this.status === 429 || this.status > 499
  }
}

/**
 * Makes a ticket: the hub's answer, the picture's address made absolute.
 *
 * @type {T.Make}
 */
export async function makeTicket(env, signal) {
  const body = { client_id: env.clientId, nonce: env.nonce }
  const made = await request(env, '/api/login/tickets', { body, signal })
  return { ...made, qr_image: new URL(made.qr_image, env.hub).href }
}

/**
 * Says without a socket that the token has arrived; may be repeated.
 *
 * @type {T.Ack}
 */
export function ackTicket(env, ticket, seq) {
  return request(env, ticketPath(ticket, 'ack'), { secret: ticket.secret, body: { seq } })
}

/** @type {T.Path} */
export const ticketPath = (ticket, what) => `/api/login/tickets/${ticket.ticket}/${what}`

/**
 * Gives the decoded answer, null for 204; throws a Problem. The secret never goes into a URL.
 *
 * @type {T.Request}
 */
export async function request(env, path, { secret, body, timeout = 10000, signal }) {
  const abort = new AbortController()
  const stop = () => abort.abort()
  const timer = env.clock.setTimeout(stop, timeout)
  signal?.addEventListener('abort', stop)
  /** @type {Record<string, string>} */
  const headers = {}
  if (secret) headers.Authorization = `Bearer ${secret}`
  if (body) headers['Content-Type'] = 'application/json'
  try {
    const answer = await env.fetch(env.hub + path, {
      method: body ? 'POST' : 'GET', headers, body: body && JSON.stringify(body),
      cache: 'no-store', credentials: 'omit', signal: abort.signal,
    })
    if (!answer.ok) throw await refusal(answer)
    return answer.status === 204 ? null : await answer.json()
  } catch (err) {
    throw err instanceof Problem ? err : new Problem('network', 0, String(err))
  } finally {
    env.clock.clearTimeout(timer)
    signal?.removeEventListener('abort', stop)
  }
}

/**
 * A proxy may answer with a page of its own: nothing is taken for granted.
 *
 * @param {Response} answer
 */
async function refusal(answer) {
  const said = (await answer.json().catch(() => null)) ?? {}
  const after = parseInt(answer.headers.get('Retry-After') ?? '')
  return new Problem(said.code ?? `http_${answer.status}`, answer.status, said.detail ?? said.title,
    after >= 0 ? after : undefined)
}
