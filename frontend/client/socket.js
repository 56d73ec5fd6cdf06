import { ticketPath } from './ticket.js'

// The hub repeats the view every 20 s: two missed ones are a dead line.
const SILENCE = 45000

/**
 * The reason is the close code.
 *
 * @type {import('./types.js').Open<number>}
 */
export function openSocket(env, ticket, on) {
  /** @type {WebSocket=} */
  let ws
  let timer = 0
  const close = () => {
    env.clock.clearTimeout(timer)
    if (!ws) return
    ws.onmessage = ws.onclose = null
    ws.close() // nobody waits: a dead line never finishes its handshake
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
    ws = new env.WebSocket(env.hub.replace(/^http/, 'ws') + ticketPath(ticket, 'ws'),
      ['loginhub.v1', `loginhub.secret.${ticket.secret}`])
    ws.onclose = (event) => down(event.code)
    ws.onmessage = (event) => {
      expect()
      const view = parse(event.data)
      if (view) on.view(view)
    }
  } catch {
    expect(0) // forbidden by the site's policy or the browser
  }
  return {
    close,
    // On a closing socket it is lost; the next attach repeats the view.
    ack: async (seq) => ws?.readyState === 1 && ws.send(JSON.stringify({ ack: seq })),
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
