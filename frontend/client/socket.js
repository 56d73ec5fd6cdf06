import { hubURL, isView, ticketPath } from './ticket.js'

// The hub repeats the view every 20 s: two missed ones are a dead connection.
const SILENCE = 45000

/**
 * The reason for an end is the close code.
 *
 * @type {import('./types.js').OpenSocket}
 */
export function openSocket(env, ticket, on) {
  /** @type {WebSocket=} */
  let ws
  let timer = 0
  const close = () => {
    env.clock.clearTimeout(timer)
    if (!ws) return
    ws.onmessage = ws.onclose = null
    ws.close() // not waited for: a dead connection never finishes its close handshake
  }
  const down = (code = 1006) => {
    close()
    on.down(code)
  }
  const expect = (ms = SILENCE) => {
    env.clock.clearTimeout(timer)
    timer = env.clock.setTimeout(down, ms)
  }
  expect()
  try {
    ws = new env.WebSocket(hubURL(env, ticketPath(ticket, 'ws')).href.replace(/^http/, 'ws'),
      ['loginhub.v1', `loginhub.secret.${ticket.secret}`])
    ws.onclose = (event) => down(event.code)
    ws.onmessage = (event) => {
      const view = parse(event.data)
      if (!isView(view, ticket)) return
      expect()
      on.view(view)
    }
  } catch {
    expect(0) // forbidden by the site's policy or the browser
  }
  return {
    close,
    ack(seq) {
      const open = ws?.readyState === 1
      if (open) ws?.send(JSON.stringify({ ack: seq }))
      return open
    },
  }
}

/** @param {string} text */
function parse(text) {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}
