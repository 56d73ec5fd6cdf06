import config from './config.js'

const TICKET = /^[A-Za-z0-9_-]{22}$/
const LINK = /^https?:\/\/[^/?#]+\/(?:.*\/)?s\/([A-Za-z0-9_-]{22})\/?(?:[?#].*)?$/
const SUCCESS = { scan: 'scanned', confirm: 'confirmed', reject: 'rejected', dispute: 'disputed' }
const ASK_TIMEOUT = 30000 // ms: after it, a login goes on without an answer
const base = () => `${config.hub.replace(/\/+$/, '')}/api/login`
let provider

/** Returns the ticket of a launch: `q` of an ordinary link, `scene` of a mini-program code, `ticket` of a scheme; '' if none. */
export function ticketFromQuery({ q = '', scene = '', ticket = '' } = {}) {
  try {
    const text = decodeURIComponent(scene || ticket)
    return q ? ticketFromLink(decodeURIComponent(q)) : TICKET.test(text) ? text : ''
  } catch {
    return '' // an invalid escape
  }
}

/** Returns the ticket in the link of a QR code, '' if it is not one of a hub. */
export const ticketFromLink = (link) => LINK.exec(link)?.[1] ?? ''

/** Returns the frame of a living code in a launch or a link, '' if there is none. */
export function frameOf({ q = '', f = '' } = {}) {
  try {
    return /[?&]f=([0-9]{1,5}\.[A-Za-z0-9_-]{11})(?:[&#]|$)/.exec(q ? decodeURIComponent(q) : `?f=${f}`)?.[1] ?? ''
  } catch {
    return '' // an invalid escape
  }
}

/**
 * Asks the user whether the site may send one message of the template. Call it directly in a tap: only then
 * WeChat asks. Resolves to true if the user allows it, to false in every other case.
 */
export async function askForNotice(template) {
  if (!template || !uni.requestSubscribeMessage) return false
  let timer
  const late = new Promise((done) => { timer = setTimeout(done, ASK_TIMEOUT, {}) })
  const answers = await Promise.race([uni.requestSubscribeMessage({ tmplIds: [template] }), late]).catch(() => ({}))
  clearTimeout(timer)
  return /^accept/.test(answers[template])
}

/**
 * Calls the hub: `scan`, `confirm`, `reject` or `dispute`. Resolves to its answer, or to `{code, detail}`. Each
 * call has a code of its own; a code that was used or is too old is replaced once.
 */
export async function call(ticket, action, fields = {}) {
  const answer = await send(ticket, action, fields)
  return ['code_invalid', 'provider_unavailable'].includes(answer.code) ? send(ticket, action, fields) : answer
}

async function send(ticket, action, fields) {
  try {
    provider ??= await findProvider()
    const code = provider.kind === 'sandbox' ? `sandbox:DevTools:${Date.now()}-${Math.random()}` : (await uni.login({ provider: 'weixin' })).code
    const { statusCode, data, header } = await request('POST', `tickets/${ticket}/${action}`, { ...fields, provider: provider.id, code })
    if (statusCode === 200 && data?.state === SUCCESS[action]) return data
    // A proxy may answer with any status: only a problem document comes from the hub.
    const type = Object.entries(header ?? {}).find(([name]) => name.toLowerCase() === 'content-type')?.[1]
    return /^application\/problem\+json/i.test(type) && data?.code ? data : { code: 'store_unavailable' }
  } catch {
    return { code: 'network' }
  }
}

// A hub in sandbox mode has no WeChat.
async function findProvider() {
  const { statusCode, data } = await request('GET', 'providers')
  const all = statusCode === 200 ? data?.providers ?? [] : []
  return all.find(({ kind }) => kind === 'wechat') ?? all.find(({ kind }) => kind === 'sandbox') ?? { id: 'wechat', kind: 'wechat' }
}

const request = (method, path, data) => uni.request({
  method, url: `${base()}/${path}`, data, timeout: 12000, header: { 'Content-Type': 'application/json', 'Accept-Language': 'zh-CN' },
})
