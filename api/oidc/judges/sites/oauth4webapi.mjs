// A site with panva/oauth4webapi: pushed authorization requests, form_post and private_key_jwt.
import * as oauth from 'oauth4webapi'
import { base, issuer, serve } from './site.mjs'

const insecure = { [oauth.allowInsecureRequests]: true }
const url = new URL(issuer)
let server
const client = { client_id: 'keyed' }
const key = await crypto.subtle.importKey('jwk', JSON.parse(process.env.CLIENT_KEY), { name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign'])
const authenticate = oauth.PrivateKeyJwt({ key, kid: 'k1' })
let verifier, state, nonce
let tokens

serve({
  '/': () => ({ home: true }),
  '/login': async () => {
    server = await oauth.processDiscoveryResponse(url, await oauth.discoveryRequest(url, insecure)) // its keys are kept with it for 5 minutes
    verifier = oauth.generateRandomCodeVerifier()
    state = oauth.generateRandomState()
    nonce = oauth.generateRandomNonce()
    const asked = {
      client_id: 'keyed', redirect_uri: `${base}/callback`, response_type: 'code', scope: 'openid profile email', response_mode: 'form_post',
      state, nonce, code_challenge: await oauth.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256',
    }
    const answer = await oauth.pushedAuthorizationRequest(server, client, authenticate, asked, insecure)
    const { request_uri } = await oauth.processPushedAuthorizationResponse(server, client, answer)
    const to = new URL(server.authorization_endpoint)
    to.searchParams.set('client_id', 'keyed')
    to.searchParams.set('request_uri', request_uri)
    return to
  },
  '/callback': async (_, request, body) => {
    const params = oauth.validateAuthResponse(server, client, new URLSearchParams(body), state)
    const answer = await oauth.authorizationCodeGrantRequest(server, client, authenticate, params, `${base}/callback`, verifier, insecure)
    tokens = await oauth.processAuthorizationCodeResponse(server, client, answer, { expectedNonce: nonce, requireIdToken: true })
    await oauth.validateApplicationLevelSignature(server, answer, insecure)
    const { sub } = oauth.getValidatedIdTokenClaims(tokens)
    const access = await oauth.validateJwtAccessToken(server, new Request(base, { headers: { authorization: `Bearer ${tokens.access_token}` } }), issuer, insecure)
    if (access.sub !== sub) throw new Error('the access token is of another user')
    return oauth.processUserInfoResponse(server, client, sub, await oauth.userInfoRequest(server, client, tokens.access_token, insecure))
  },
  '/logout': () => {
    const to = new URL(server.end_session_endpoint)
    to.search = new URLSearchParams({ id_token_hint: tokens.id_token, post_logout_redirect_uri: `${base}/` })
    return to
  },
})
