import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { PHONE, accessible, browserTest, inState, onScreen, phonePath, scanAs } from '../browser.js'

const verifier = 'v'.repeat(43)
const clients = 'clients: [{id: rp, label: Wiki, redirect_uris: [SITE/cb]}]\n'
const options = { clients, site: true }

/** Returns the path of the authorize page. */
function authorize(site, more = {}) {
  return `/oauth2/authorize?${new URLSearchParams({
    client_id: 'rp', redirect_uri: `${site.url}/cb`, response_type: 'code', scope: 'openid', state: 's&"<', code_challenge_method: 'S256',
    code_challenge: createHash('sha256').update(verifier).digest('base64url'), ...more,
  })}`
}

/** Lets the sandbox's user decide on the phone. */
async function decide(visit, page, button) {
  const phone = await visit(await phonePath(page), PHONE)
  await scanAs(phone, 'Ann')
  await onScreen(phone, 'consent')
  await phone.click(button)
}

browserTest('authorize: the browser returns to the site with a code, and with an error', options, async ({ hub, site, visit }) => {
  site.files['/cb'] = '<!doctype html><title>site</title>'
  const page = await visit(authorize(site))
  await inState(page, 'pending')
  assert.equal(await page.textContent('#host'), new URL(site.url).host)
  await accessible(page)
  await Promise.all([page.waitForURL(`${site.url}/cb?**`), decide(visit, page, '#confirm')])
  const answer = new URL(page.url()).searchParams
  assert.deepEqual([answer.get('state'), answer.get('iss')], ['s&"<', hub.url])
  const tokens = await fetch(`${hub.url}/oauth2/token`, { method: 'POST', body: new URLSearchParams({
    grant_type: 'authorization_code', client_id: 'rp', code: answer.get('code'), redirect_uri: `${site.url}/cb`, code_verifier: verifier }) })
  assert.match((await tokens.json()).id_token, /^ey/)

  const other = await visit(authorize(site))
  await Promise.all([other.waitForURL(`${site.url}/cb?**`), decide(visit, other, '#reject')])
  assert.equal(new URL(other.url()).searchParams.get('error'), 'access_denied')
})

browserTest('authorize: a form is posted to the site', options, async ({ site, visit }) => {
  site.files['/cb'] = '<!doctype html><title>site</title>'
  for (const [more, field] of [[{}, 'code'], [{ prompt: 'none' }, 'error']]) {
    let posted
    const page = await visit(authorize(site, { response_mode: 'form_post', ...more }), { prepare: (opened) => {
      posted = opened.waitForRequest((request) => request.url() === `${site.url}/cb` && request.method() === 'POST')
    } })
    if (field === 'code') await decide(visit, page, '#confirm')
    const fields = new URLSearchParams((await posted).postData())
    assert.ok(fields.get(field), `no ${field}`)
    assert.equal(fields.get('state'), 's&"<')
  }
})

browserTest('authorize: a phone opens its app, and shows no code to its own camera', options, async ({ site, visit }) => {
  const page = await visit(authorize(site), { ...PHONE, userAgent: 'Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Mobile/15E148 Safari/604.1' })
  await inState(page, 'pending')
  await page.waitForSelector('#open', { state: 'visible' })
  assert.ok(await page.isHidden('#qr'))
})
