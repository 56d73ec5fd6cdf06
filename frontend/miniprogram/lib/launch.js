// 128 bits in base64url.
const TICKET = /^[A-Za-z0-9_-]{22}$/
const LINK = /^https?:\/\/[^/?#]+\/(?:.*\/)?s\/([A-Za-z0-9_-]{22})\/?(?:[?#].*)?$/
// The step and its MAC, of a living code.
const FRAME = /[?&]f=([0-9]{1,5}\.[A-Za-z0-9_-]{11})(?:[&#]|$)/

/**
 * Returns the ticket in a page's query, '' if there is none. `q` is the link of an ordinary QR code,
 * `scene` the text of a mini-program code (both arrive encoded), `ticket` or `t` comes from a scheme.
 */
function ticketFromQuery(query = {}) {
  if (query.q) return ticketFromLink(decode(query.q))
  return valid(decode(query.scene || query.ticket || query.t || ''))
}

/** Returns the frame of a living code in a page's query, '' if there is none. */
function frameFromQuery(query = {}) {
  return frameFromLink(query.q ? decode(query.q) : `?f=${decode(query.f || '')}`)
}

/** Returns the frame of a living code in a result of wx.scanCode, '' if there is none. */
function frameFromScan({ result = '' } = {}) {
  return frameFromLink(result)
}

function frameFromLink(link) {
  const found = FRAME.exec(link)
  return found ? found[1] : ''
}

/** Returns the ticket in a result of wx.scanCode. `path` is set only for codes of this mini-program. */
function ticketFromScan({ path = '', result = '' } = {}) {
  const [, search] = path.split('?')
  if (!search) return ticketFromLink(result) || valid(result)
  const query = {}
  for (const pair of search.split('&')) {
    const at = pair.indexOf('=')
    if (at > 0) query[pair.slice(0, at)] = pair.slice(at + 1)
  }
  return ticketFromQuery(query)
}

function ticketFromLink(link) {
  const found = LINK.exec(link)
  return found ? found[1] : ''
}

function valid(text) {
  return TICKET.test(text) ? text : ''
}

// Returns '' for an invalid escape, which a link of an attacker may contain.
function decode(text) {
  try {
    return decodeURIComponent(text)
  } catch (err) {
    return ''
  }
}

module.exports = { frameFromQuery, frameFromScan, ticketFromQuery, ticketFromScan }
