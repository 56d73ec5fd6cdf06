/** What the consent page shows of who asks, as lines of text; `said` are the words. */
function facts(login, said) {
  return {
    site: login.client,
    hosts: (login.hosts || []).join(', '),
    ip: login.ip || said.unknown,
    same: login.same_ip === true ? 'true' : login.same_ip === false ? 'false' : 'undefined',
    browser: login.browser || said.unknown,
    os: login.os || said.unknown,
    time: clock(login.requested_at),
  }
}

// Phones know few of the formats of Intl.
function clock(text) {
  const at = new Date(text)
  return [at.getHours(), at.getMinutes(), at.getSeconds()].map(two).join(':')
}

function left(seconds) {
  return `${Math.floor(seconds / 60)}:${two(seconds % 60)}`
}

function two(number) {
  return String(number).padStart(2, '0')
}

module.exports = { facts, left }
