// Runs inside the page's head, before anything is loaded, in old browsers too: only what ES5 has. It sends
// the first request for a ticket, whose answer page.js takes, so that it needs no round trip of its own.
// If the page's own script has not run when everything is loaded, it shows why.
var boot = window.loginhub = {}

function meta(name) {
  var element = document.querySelector('meta[name="loginhub-' + name + '"]')
  return element && element.content
}

function nonce() {
  var bytes = crypto.getRandomValues(new Uint8Array(16)), text = ''
  for (var i = 0; i < 16; i++) text += (bytes[i] + 256).toString(16).slice(1)
  return text
}

// Makes the page's key, as createKey of client/tokenkey.js does; undefined if the browser cannot.
function createKey() {
  try {
    return crypto.subtle.generateKey({ name: 'ECDH', namedCurve: 'P-256' }, false, ['deriveBits']).then(function (pair) {
      return crypto.subtle.exportKey('jwk', pair.publicKey).then(function (jwk) {
        return { jwk: jwk, privateKey: pair.privateKey }
      })
    }).catch(function () {})
  } catch (err) {
    return Promise.resolve()
  }
}

function sendRequest(body) {
  return fetch('/api/login/tickets', {
    method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body),
    cache: 'no-store', credentials: 'same-origin', redirect: 'error',
  })
}

function requestTicket(client, request) {
  boot.nonce = nonce()
  boot.key = request ? Promise.resolve() : createKey() // the page of a site's request gets no token
  boot.ticket = request ? sendRequest({ request: request }) : boot.key.then(function (key) {
    return sendRequest({ client_id: client, nonce: boot.nonce, jwk: key && key.jwk })
  })
  boot.ticket.catch(function () {}) // page.js reports it
}

if (window.fetch && meta('client')) requestTicket(meta('client'), meta('request'))

addEventListener('load', function () {
  if (boot.started) return
  document.querySelector('main').hidden = true
  document.getElementById('unsupported').hidden = false
})
