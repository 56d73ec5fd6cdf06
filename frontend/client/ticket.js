/** @import * as T from './internal.js' */

// Codes of the hub that the same request gets again.
const FINAL = ['invalid_request', 'invalid_secret', 'origin_not_allowed', 'login_disabled', 'ticket_not_found', 'not_found',
  'method_not_allowed', 'ticket_closed', 'not_confirmed', 'ticket_expired', 'too_large', 'unsupported_media_type',
  'upgrade_required', 'state_invalid', 'state_foreign']
// Codes of the hub after which it may succeed.
const TEMPORARY = ['rate_limited', 'internal_error', 'store_unavailable', 'overloaded']
const POST_STEP = 250 // ms
const POST_TRIES = 6
const STATES = ['pending', 'scanned', 'confirmed', 'consumed', 'rejected', 'expired']

/** Why something failed (types.d.ts). */
export class Problem extends Error {
  /** @param {number=} retryAfter */
  constructor(code = '', status = 0, detail = '', retryAfter) {
    super(detail || code)
    this.code = code
    this.status = status
    this.detail = detail
    this.retryAfter = retryAfter
  }

  get passing() {
    return ![...FINAL, 'replaced', 'token_not_accepted'].includes(this.code)
  }

  get foreign() {
    return /^(network|http_)/.test(this.code)
  }
}

/** For a success that does not come from the hub. */
export const notFromHub = () => new Problem('network', 0, 'The answer does not come from the hub.')

/**
 * Creates a ticket. Returns the hub's answer, with an absolute URL for the image.
 *
 * @type {T.CreateTicket}
 */
export async function createTicket(env, signal, jwk) {
  const body = env.request ? { request: env.request } : { client_id: env.clientId, nonce: env.nonce, jwk }
  const ticket = await request(env, 'api/login/tickets', { body, signal })
  if (![ticket?.ticket, ticket?.secret, ticket?.qr_image].every((part) => part && typeof part === 'string') || !isView(ticket, ticket)) {
    throw notFromHub()
  }
  return { ...ticket, qr_image: hubURL(env, ticket.qr_image).href }
}

/** @type {T.AckTicket} */
export const ackTicket = (env, ticket, seq) => post(env, ticket, 'ack', { body: { seq } })

/**
 * Cancels the ticket, even if the page closes, with `keepalive`.
 *
 * @type {T.CancelTicket}
 */
export const cancelTicket = (env, ticket, keepalive) => post(env, ticket, 'cancel', { body: {}, keepalive })

/**
 * Sends a request that may be repeated. One on a dead connection hangs, so others follow until one
 * is answered. The first ones end early: a browser keeps at most six connections to one host.
 *
 * @type {T.Post}
 */
function post(env, ticket, action, options) {
  const abort = new AbortController()
  let open = 0
  let timer = 0
  return /** @type {Promise<void>} */ (new Promise((resolve, reject) => {
    /** @param {number} attempt */
    const send = async (attempt) => {
      open++
      if (attempt < POST_TRIES) timer = env.clock.setTimeout(() => send(attempt + 1), POST_STEP)
      try {
        const answer = await request(env, ticketPath(ticket, action), { ...options, secret: ticket.secret, timeout: attempt < 5 ? 1000 : 3000, signal: abort.signal })
        if (answer && answer.state !== 'rejected') throw notFromHub()
        resolve()
      } catch (problem) {
        if (!--open || !/** @type {Problem} */ (problem).foreign) reject(problem)
      }
    }
    send(1)
  })).finally(() => {
    env.clock.clearTimeout(timer)
    abort.abort()
  })
}

/**
 * Reports whether a decoded message is a view of this ticket.
 *
 * @type {T.IsView}
 */
export const isView = (value, { ticket }) => STATES.includes(value?.state) && value.seq > 0 && [undefined, ticket].includes(value.ticket)

/** @type {T.TicketPath} */
export const ticketPath = (ticket, resource) => `api/login/tickets/${ticket.ticket}/${resource}`

/**
 * The URL of a path at the hub. The hub itself may be below a path.
 *
 * @type {T.HubURL}
 */
export const hubURL = (env, path) => new URL(path.replace(/^\/+/, ''), env.hub)

/**
 * Returns the decoded answer, null for 204; throws a Problem. The secret never goes into a URL.
 *
 * @type {T.Request}
 */
export async function request(env, path, { secret, body, timeout = 5000, signal, keepalive }) {
  const abort = new AbortController()
  const stop = () => abort.abort()
  // A site's own `fetch` may ignore the signal.
  const stopped = new Promise((_, reject) => abort.signal.addEventListener('abort', reject))
  const timer = env.clock.setTimeout(stop, timeout)
  signal?.addEventListener('abort', stop)
  /** @type {Record<string, string>} */
  const headers = {}
  if (secret) headers.Authorization = `Bearer ${secret}`
  if (body) headers['Content-Type'] = 'application/json'
  try {
    const answer = await Promise.race([stopped, env.fetch(hubURL(env, path).href, {
      method: body ? 'POST' : 'GET', headers, body: body && JSON.stringify(body),
      cache: 'no-store', credentials: env.request ? 'same-origin' : 'omit', redirect: 'error', signal: abort.signal, keepalive,
    })])
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
 * Turns an answer into a Problem. Only a problem document (RFC 9457) with a known code comes from
 * the hub: a proxy may answer with any status and any document.
 *
 * @param {Response} answer
 */
async function refusal(answer) {
  const { status, headers } = answer
  const isProblem = /^application\/problem\+json *(;|$)/i.test(headers.get('Content-Type') ?? '')
  const body = isProblem && await answer.json().catch(() => null)
  if (!body || ![...FINAL, ...TEMPORARY].includes(body.code)) return new Problem(`http_${status}`, status)
  const after = parseInt(headers.get('Retry-After') ?? '')
  return new Problem(body.code, status, body.detail ?? body.title, after >= 0 ? after : undefined)
}
