/** Formats what the consent page shows about the login request. */
function formatLogin(login, messages) {
  return {
    site: login.client,
    asks: login.device ? messages.asksDevice : messages.asks,
    hosts: (login.hosts || []).join(', '),
    ip: login.ip || messages.unknown,
    place: login.place || '',
    far: login.far_away === true,
    same: login.same_ip === true ? 'true' : login.same_ip === false ? 'false' : 'undefined',
    browser: login.browser || messages.unknown,
    os: login.os || messages.unknown,
    time: formatTime(login.requested_at),
  }
}

// Not by Intl: phones support few of its formats.
function formatTime(text) {
  const at = new Date(text)
  return [at.getHours(), at.getMinutes(), at.getSeconds()].map(twoDigits).join(':')
}

function formatSeconds(seconds) {
  return `${Math.floor(seconds / 60)}:${twoDigits(seconds % 60)}`
}

function twoDigits(number) {
  return String(number).padStart(2, '0')
}

module.exports = { formatLogin, formatSeconds }
