// A site with NextAuth 4, as its API route is called by Next.js.
import { createRequire } from 'node:module'
import express from 'express'
import { base, issuer, port, secret } from './site.mjs'

process.env.NEXTAUTH_URL = base
const NextAuth = createRequire(import.meta.url)('next-auth').default
const options = {
  secret: 'a-secret-of-the-site-alone',
  providers: [{
    id: 'loginhub', name: 'loginhub', type: 'oauth', wellKnown: `${issuer}/.well-known/openid-configuration`, idToken: true,
    clientId: 'site', clientSecret: secret, checks: ['pkce', 'state', 'nonce'], authorization: { params: { scope: 'openid email profile' } },
    profile: (claims) => ({ id: claims.sub, email: claims.email }),
  }],
  callbacks: { session: ({ session, token }) => ({ ...session, sub: token.sub }) },
}
const app = express()
app.use(express.urlencoded(), express.json())
app.get('/', (_, response) => response.json({ home: true }))
app.get('/login', async (_, response) => { // what the form of NextAuth's page sends
  const csrf = await fetch(`${base}/api/auth/csrf`)
  const { csrfToken } = await csrf.json()
  const signin = await fetch(`${base}/api/auth/signin/loginhub`, {
    method: 'POST', redirect: 'manual', headers: { 'content-type': 'application/x-www-form-urlencoded', cookie: cookies(csrf) },
    body: new URLSearchParams({ csrfToken, callbackUrl: `${base}/me` }),
  })
  for (const cookie of [...csrf.headers.getSetCookie(), ...signin.headers.getSetCookie()]) response.append('set-cookie', cookie)
  response.redirect(signin.headers.get('location'))
})
app.get('/me', async (request, response) => {
  const session = await (await fetch(`${base}/api/auth/session`, { headers: { cookie: request.headers.cookie ?? '' } })).json()
  response.status(session.sub ? 200 : 401).json({ sub: session.sub, email: session.user?.email })
})
app.all('/api/auth/{*nextauth}', (request, response) => {
  const cookies = Object.fromEntries((request.headers.cookie ?? '').split('; ').filter(Boolean).map((pair) => {
    const at = pair.indexOf('=')
    return [pair.slice(0, at), decodeURIComponent(pair.slice(at + 1))]
  }))
  const query = { ...request.query, nextauth: request.path.slice('/api/auth/'.length).split('/') }
  return NextAuth({ method: request.method, headers: request.headers, body: request.body ?? {}, query, cookies }, response, options)
})
app.listen(port, '127.0.0.1')

const cookies = (answer) => answer.headers.getSetCookie().map((cookie) => cookie.split(';')[0]).join('; ')
