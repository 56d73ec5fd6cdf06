import { createServer } from 'node:http'

export const { ISSUER: issuer, PORT: port, SECRET: secret } = process.env
export const base = `http://127.0.0.1:${port}`

/**
 * Serves the routes of a site: `routes` maps a path to a function that gets the URL, the request and
 * its body, and returns a URL to redirect to or an object to show. What it throws is shown with 400.
 */
export function serve(routes) {
  createServer(async (request, response) => {
    const url = new URL(request.url, base)
    let body = ''
    for await (const part of request) body += part
    try {
      const result = await routes[url.pathname]?.(url, request, body) ?? { error: 'no such page' }
      if (result instanceof URL) response.writeHead(302, { location: result.href }).end()
      else response.writeHead(result.error ? 404 : 200, { 'content-type': 'application/json' }).end(JSON.stringify(result))
    } catch (err) {
      response.writeHead(400, { 'content-type': 'application/json' }).end(JSON.stringify({ error: String(err), cause: String(err.cause ?? ''), code: err.code }))
    }
  }).listen(port, '127.0.0.1')
}
