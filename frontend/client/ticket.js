/** @import * as T from './types.js' */

// Refusals of the contract that the same request meets again however often it is sent.
const FINAL = ['invalid_request', 'invalid_secret', 'origin_not_allowed', 'login_disabled', 'ticket_not_found', 'not_found',
  'method_not_allowed', 'ticket_closed', 'not_confirmed', 'ticket_expired', 'too_large', 'unsupported_media_type',
  'upgrade_required']
const PASSING = ['rate_limited', 'internal_error', 'store_unavailable', 'overloaded']
const STATES = ['pending', 'scanned', 'confirmed', 'consumed', 'rejected', 'expired']

/**
 * Why something failed. The code is the hub's; or `network` or `http_STATUS` if the hub gave no
 * answer; or `replaced` or `token_not_accepted`. `retryAfter` (seconds) is the hub's alone.
 */
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
    return ![...FINAL, 'replaced', 'token_not_accepted'].includes(this.code)
  }

  /** Whether the hub gave no answer: the network failed, or a proxy answered by itself. */
  get foreign() {
    return /^(network|http_)/.test(this.code)
  }
}

/** An answer that succeeded but is not the hub's. */
export const foreignAnswer = () => new Problem('network', 0, 'The answer is not the hub’s.')

/**
 * Makes a ticket: the hub's answer, the picture's address made absolute.
 *
 * @type {T.Make}
 */
export async function makeTicket(env, signal) {
  const body = { client_id: env.clientId, nonce: env.nonce }
  const made = await request(env, 'api/login/tickets', { body, signal })
  if (![made?.ticket, made?.secret, made?.qr_image].every((part) => part && typeof part === 'string') || !isView(made, made)) {
    throw foreignAnswer()
  }
  return { ...made, qr_image: hubURL(env, made.qr_image).href }
}

/**
 * Tells the hub by a request that the token has arrived; may be repeated.
 *
 * @type {T.Ack}
 */
export async function ackTicket(env, ticket, seq) {
  if (await request(env, ticketPath(ticket, 'ack'), { secret: ticket.secret, body: { seq }, timeout: 3000 })) throw foreignAnswer()
}

/**
 * Whether a decoded message is a view of this ticket.
 *
 * @type {T.IsView}
 */
export const isView = (said, { ticket }) => STATES.includes(said?.state) && said.seq > 0 && [undefined, ticket].includes(said.ticket)

/** @type {T.Path} */
export const ticketPath = (ticket, what) => `api/login/tickets/${ticket.ticket}/${what}`

/**
 * The address of a path at the hub, which may be below a path itself.
 *
 * @type {T.HubURL}
 */
export const hubURL = (env, path) => new URL(path.replace(/^\/+/, ''), env.hub)

/**
 * Gives the decoded answer, null for 204; throws a Problem. The secret never goes into a URL.
 *
 * @type {T.Request}
 */
export async function request(env, path, { secret, body, timeout = 5000, signal }) {
  const abort = new AbortController()
  const stop = () => abort.abort()
  const timer = env.clock.setTimeout(stop, timeout)
  signal?.addEventListener('abort', stop)
  /** @type {Record<string, string>} */
  const headers = {}
  if (secret) headers.Authorization = `Bearer ${secret}`
  if (body) headers['Content-Type'] = 'application/json'
  try {
    const answer = await env.fetch(hubURL(env, path).href, {
      method: body ? 'POST' : 'GET', headers, body: body && JSON.stringify(body),
      cache: 'no-store', credentials: 'omit', redirect: 'error', signal: abort.signal,
    })
    if (!answer.ok) throw await refusal(answer)
    return answer.status === 204 ? null : await answer.json() ?? {}
  } catch (err) {
    throw err instanceof Problem ? err : new Problem('network', 0, String(err))
  } finally {
    env.clock.clearTimeout(timer)
    signal?.removeEventListener('abort', stop)
  }
}

/**
 * Only a problem document (RFC 9457) with a code of the contract is the hub's. A proxy answers
 * with any status, and with a page or a document of its own.
 *
 * @param {Response} answer
 */
async function refusal(answer) {
  const { status, headers } = answer
  const isProblem = /^application\/problem\+json *(;|$)/i.test(headers.get('Content-Type') ?? '')
  const said = isProblem && await answer.json().catch(() => null)
  if (!said || ![...FINAL, ...PASSING].includes(said.code)) return new Problem(`http_${status}`, status)
  const after = parseInt(headers.get('Retry-After') ?? '')
  return new Problem(said.code, status, said.detail ?? said.title, after >= 0 ? after : undefined)
}
