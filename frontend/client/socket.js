import { hubURL, isView, ticketPath } from './ticket.js'

// The hub repeats the view every 20 s: after two missed ones the connection is dead.
const SILENCE_TIMEOUT = 45000 // ms

/**
 * Opens the socket of a ticket. The reason for its end is the close code.
 *
 * @type {import('./internal.js').OpenSocket}
 */
export function openSocket(env, ticket, on) {
  /** @type {WebSocket=} */
  let ws
  let timer = 0
  const close = () => {
    env.clock.clearTimeout(timer)
    if (!ws) return
    ws.onmessage = ws.onclose = null
    ws.close() // not awaited: a dead connection never completes its close handshake
  }
  const end = (code = 1006) => {
    close()
    on.end(code)
  }
  const restartTimer = (ms = SILENCE_TIMEOUT) => {
    env.clock.clearTimeout(timer)
    timer = env.clock.setTimeout(end, ms)
  }
  restartTimer()
  try {
    ws = new env.WebSocket(hubURL(env, ticketPath(ticket, 'ws')).href.replace(/^http/, 'ws'),
      ['loginhub.v1', `loginhub.secret.${ticket.secret}`])
    ws.onclose = (event) => end(event.code)
    ws.onmessage = (event) => {
      const view = parse(event.data)
      if (!isView(view, ticket)) return
      restartTimer()
      on.view(view)
    }
  } catch {
    restartTimer(0) // the site's policy or the browser forbids sockets
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
