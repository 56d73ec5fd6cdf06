// A site with Auth.js for Express.
import { ExpressAuth, getSession } from '@auth/express'
import express from 'express'
import { base, issuer, port, secret } from './site.mjs'

const options = {
  trustHost: true, secret: 'a-secret-of-the-site-alone',
  providers: [{ id: 'loginhub', name: 'loginhub', type: 'oidc', issuer, clientId: 'site', clientSecret: secret, checks: ['pkce', 'state', 'nonce'] }],
  callbacks: {
    jwt: ({ token, account }) => ({ ...token, sub: account?.providerAccountId ?? token.sub }),
    session: ({ session, token }) => ({ ...session, sub: token.sub }),
  },
}
const app = express()
app.get('/', (_, response) => response.json({ home: true }))
app.get('/login', async (_, response) => { // what the form of Auth.js' page sends
  const csrf = await fetch(`${base}/auth/csrf`)
  const { csrfToken } = await csrf.json()
  const signin = await fetch(`${base}/auth/signin/loginhub`, {
    method: 'POST', redirect: 'manual', headers: { 'content-type': 'application/x-www-form-urlencoded', cookie: cookies(csrf) },
    body: new URLSearchParams({ csrfToken, callbackUrl: `${base}/me` }),
  })
  for (const cookie of [...csrf.headers.getSetCookie(), ...signin.headers.getSetCookie()]) response.append('set-cookie', cookie)
  response.redirect(signin.headers.get('location'))
})
app.get('/me', async (request, response) => {
  const session = await getSession(request, options)
  response.status(session ? 200 : 401).json({ sub: session?.sub, email: session?.user.email })
})
app.use('/auth', ExpressAuth(options))
app.listen(port, '127.0.0.1')

const cookies = (answer) => answer.headers.getSetCookie().map((cookie) => cookie.split(';')[0]).join('; ')
