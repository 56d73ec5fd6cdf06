// A site with panva/openid-client: a public client whose code and tokens are bound to its key (DPoP).
import * as client from 'openid-client'
import { base, issuer, serve } from './site.mjs'

const config = await client.discovery(new URL(issuer), 'native', undefined, client.None(), { execute: [client.allowInsecureRequests] })
const DPoP = client.getDPoPHandle(config, await client.randomDPoPKeyPair('ES256'))
const thief = client.getDPoPHandle(config, await client.randomDPoPKeyPair('ES256'))
let pending
let tokens

/** Throws unless the call is refused with one of the codes. */
async function refused(what, call, ...codes) {
  const err = await call().then(() => undefined, (err) => err)
  const code = err?.error ?? err?.cause?.[0]?.parameters?.error
  if (!codes.includes(code)) throw new Error(`${what}: ${err} ${code}, want ${codes}`)
}

serve({
  '/': () => ({ home: true }),
  '/login': async () => {
    pending = { pkceCodeVerifier: client.randomPKCECodeVerifier(), expectedState: client.randomState(), expectedNonce: client.randomNonce() }
    return client.buildAuthorizationUrlWithPAR(config, {
      redirect_uri: `${base}/callback`, scope: 'openid offline_access', state: pending.expectedState, nonce: pending.expectedNonce,
      code_challenge: await client.calculatePKCECodeChallenge(pending.pkceCodeVerifier), code_challenge_method: 'S256',
    }, { DPoP })
  },
  '/callback': async (url) => {
    await refused('a code with another key', () => client.authorizationCodeGrant(config, url, pending, undefined, { DPoP: thief }), 'invalid_grant')
    tokens = await client.authorizationCodeGrant(config, url, pending, undefined, { DPoP })
    const { sub } = tokens.claims()
    if (tokens.token_type !== 'dpop') throw new Error(`token_type ${tokens.token_type}`)
    await refused('a refresh with another key', () => client.refreshTokenGrant(config, tokens.refresh_token, undefined, { DPoP: thief }), 'invalid_grant')
    await refused('a refresh without a key', () => client.refreshTokenGrant(config, tokens.refresh_token), 'invalid_dpop_proof')
    tokens = await client.refreshTokenGrant(config, tokens.refresh_token, undefined, { DPoP })
    await refused('a bearer token', () => client.fetchUserInfo(config, tokens.access_token, sub), 'invalid_token')
    await refused('another key', () => client.fetchUserInfo(config, tokens.access_token, sub, { DPoP: thief }), 'invalid_token')
    return client.fetchUserInfo(config, tokens.access_token, sub, { DPoP })
  },
  '/logout': () => client.buildEndSessionUrl(config, { id_token_hint: tokens.id_token, post_logout_redirect_uri: `${base}/` }),
})
