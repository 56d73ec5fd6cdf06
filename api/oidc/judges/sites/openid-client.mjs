// A site with panva/openid-client.
import * as client from 'openid-client'
import { base, issuer, secret, serve } from './site.mjs'

const config = await client.discovery(new URL(issuer), 'site', secret, undefined, { execute: [client.allowInsecureRequests] })
let pending
let tokens

serve({
  '/': () => ({ home: true }),
  '/login': async () => {
    pending = { pkceCodeVerifier: client.randomPKCECodeVerifier(), expectedState: client.randomState(), expectedNonce: client.randomNonce() }
    return client.buildAuthorizationUrl(config, {
      redirect_uri: `${base}/callback`, scope: 'openid profile email', state: pending.expectedState, nonce: pending.expectedNonce,
      code_challenge: await client.calculatePKCECodeChallenge(pending.pkceCodeVerifier), code_challenge_method: 'S256',
    })
  },
  '/callback': async (url) => {
    tokens = await client.authorizationCodeGrant(config, url, pending)
    const { sub } = tokens.claims()
    return client.fetchUserInfo(config, tokens.access_token, sub)
  },
  '/introspect': async () => client.tokenIntrospection(config, tokens.access_token),
  '/revoke': async () => {
    await client.tokenRevocation(config, tokens.access_token)
    return client.tokenIntrospection(config, tokens.access_token)
  },
  '/logout': () => client.buildEndSessionUrl(config, { id_token_hint: tokens.id_token, post_logout_redirect_uri: `${base}/` }),
})
