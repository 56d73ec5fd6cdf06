import assert from 'node:assert/strict'
import { PHONE, accessible, browserTest, onScreen, scanAs } from '../browser.js'
import { messages } from '../messages.js'

/** Posts a form and returns the answer's JSON. */
const post = async (url, fields) => (await fetch(url, { method: 'POST', body: new URLSearchParams(fields) })).json()

const clients = 'clients: [{id: cli, label: {zh: 命令行}, grants: [device_code]}]\n'

browserTest('typed code of a device: one consent screen, then the device is logged in', { clients, expected: /status of 400/ }, async ({ hub, visit }) => {
  const code = await post(`${hub.url}/oauth2/device_authorization`, { client_id: 'cli', scope: 'openid' })
  const phone = await visit('/device', PHONE)
  await phone.fill('#user_code', 'BBBB-BBBB')
  await phone.press('#user_code', 'Enter')
  await phone.waitForSelector('[role=alert]')
  await accessible(phone)
  await phone.fill('#user_code', code.user_code.toLowerCase().replace('-', ''))
  const answer = post(`${hub.url}/oauth2/token`, { client_id: 'cli', grant_type: 'urn:ietf:params:oauth:grant-type:device_code', device_code: code.device_code })
  await phone.click('button[type=submit]')
  await scanAs(phone, 'Ann')
  await onScreen(phone, 'consent')
  assert.equal(await phone.textContent('#asks'), messages['zh-CN'].phone.asksDevice)
  assert.equal(await phone.textContent('#site'), '命令行')
  assert.ok(await phone.isHidden('#host'))
  await phone.click('#confirm')
  assert.match((await answer).id_token, /^ey/)
})
