// A single-page application with oidc-client-ts, in Chromium. It prints the user, or the error.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { createServer } from 'node:http'
import { chromium } from 'playwright-core'
import { base, issuer, port } from './site.mjs'

const library = readFileSync(new URL('../browser/oidc-client-ts.min.js', `file://${createRequire(import.meta.url).resolve('oidc-client-ts')}`), 'utf8')
const app = `<!doctype html><html lang="en"><title>site</title><script src="/library.js"></script><script>
  const manager = new oidc.UserManager({ authority: '${issuer}', client_id: 'spa', redirect_uri: '${base}/', post_logout_redirect_uri: '${base}/out', scope: 'openid profile email', loadUserInfo: true })
  const show = (what) => { document.title = JSON.stringify(what) }
  if (location.pathname === '/out') show({ out: true })
  else if (new URLSearchParams(location.search).has('code')) manager.signinRedirectCallback().then(({ profile }) => show(profile), (err) => show({ error: String(err) }))
  else manager.signinRedirect().catch((err) => show({ error: String(err) }))
</script></html>`
createServer((request, response) => {
  const script = request.url === '/library.js'
  response.writeHead(200, { 'content-type': script ? 'text/javascript' : 'text/html' }).end(script ? library : app)
}).listen(port, '127.0.0.1')

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: ['--headless', '--no-sandbox', '--disable-gpu'] })
const page = await browser.newPage()
const titled = (text) => page.waitForFunction((part) => document.title.includes(part), text)
await page.goto(base)
await page.waitForSelector('meta[name=loginhub-request]', { state: 'attached' })
const qr = page.locator('#qr')
await qr.waitFor()
const ticket = /tickets\/([\w-]{22})\//.exec(await qr.getAttribute('src'))[1]
const confirm = await fetch(`${issuer}/api/login/tickets/${ticket}/confirm`, {
  method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ provider: 'sandbox', code: `sandbox:ming:${Math.random()}` }),
})
if (!confirm.ok) throw new Error(await confirm.text())
await titled('{')
console.log(await page.title())
await page.evaluate('void manager.signoutRedirect()')
await titled('out')
console.log(await page.title())
await browser.close()
process.exit()
