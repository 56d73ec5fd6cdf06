import { once } from 'node:events'
import { createServer } from 'node:http'

/** The strictest policy under which the widget works on another site. */
export function sitePolicy(hubURL) {
  const socket = hubURL.replace(/^http/, 'ws')
  return `default-src 'none'; script-src 'self' ${hubURL}; connect-src ${hubURL} ${socket}; img-src ${hubURL}; ` +
    "base-uri 'none'; require-trusted-types-for 'script'; trusted-types vue"
}

/**
 * Serves `files` (path to text) until the test ends. `policy`, `files` and `embedder`, the
 * Cross-Origin-Embedder-Policy, may be set later. `host` is its name for browsers.
 */
export async function startSite(t, host = '127.0.0.1') {
  const site = { files: {}, policy: '', embedder: 'require-corp' }
  const server = createServer((req, res) => {
    const path = req.url.split('?')[0]
    const body = site.files[path]
    if (body === undefined) return res.writeHead(path === '/favicon.ico' ? 204 : 404).end()
    res.writeHead(200, {
      'Content-Type': path.endsWith('.js') ? 'text/javascript; charset=utf-8' : 'text/html; charset=utf-8',
      'Content-Security-Policy': site.policy,
      'Cross-Origin-Embedder-Policy': site.embedder,
    }).end(body)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  site.url = `http://${host}:${server.address().port}`
  return site
}
