import assert from 'node:assert/strict'
import { after } from 'node:test'
import { startWeChat } from '../imitation.js'
import { sitePolicy } from '../site.js'
import { PHONE, browserTest, inState } from '../browser.js'

const weChat = await startWeChat()
const env = {
  LOGINHUB_WECHAT_WEB_APP_ID: 'wxfedcba9876543210', LOGINHUB_WECHAT_WEB_APP_SECRET: 'website-secret',
  LOGINHUB_WECHAT_APP_ID: 'wx0123456789abcdef', LOGINHUB_WECHAT_APP_SECRET: 'program-secret',
  LOGINHUB_WECHAT_API_URL: weChat.url, LOGINHUB_WECHAT_OPEN_URL: weChat.url,
}

for (const [choice, outcome, state] of [['allow', 'confirmed', 'done'], ['deny', 'rejected', 'rejected']]) {
  browserTest(`WeChat website login: ${choice} in the second window gives ${outcome}`, { env }, async ({ visit }) => {
    const page = await visit('/')
    await inState(page, 'pending')
    const [second] = await Promise.all([page.context().waitForEvent('page'), page.click('#wechat-web button')])
    await second.click(`#${choice}`)
    await second.waitForSelector(`main[data-outcome="${outcome}"]`)
    await inState(page, state)
    if (state === 'done') assert.match(await page.textContent('#welcome'), /爱丽丝/)
  })
}

browserTest('login page on a phone: offers WeChat instead of the code', { env }, async ({ visit }) => {
  const userAgent = 'Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Version/18.0 Mobile/15E148 Safari/604.1'
  const page = await visit('/', { ...PHONE, userAgent })
  await inState(page, 'pending')
  assert.match(await page.getAttribute('#open', 'href'),
    /^weixin:\/\/dl\/business\/\?appid=wx0123456789abcdef&path=pages\/confirm\/confirm&query=scene%3D[\w-]{22}$/)
  assert.ok(await page.isVisible('#open'))
  assert.ok(!await page.isVisible('#qr'))
  assert.ok(!await page.isVisible('#wechat-web'))
  assert.ok(!await page.isVisible('#with'))
  const inside = await visit('/', { ...PHONE, userAgent: `${userAgent} MicroMessenger/8.0.50` })
  await inState(inside, 'pending')
  assert.ok(await inside.isVisible('#qr'))
  assert.ok(!await inside.isVisible('#open'))
})

browserTest('computer: page and widget say to scan with WeChat, if a phone can', {
  env, site: true, clients: 'clients: [{id: demo, origins: [SITE], providers: [wechat]}, {id: web, origins: [SITE], providers: [wechat_web]}]\n',
}, async ({ hub, site, visit }) => {
  const page = await visit('/')
  await inState(page, 'pending')
  assert.equal(await page.textContent('#with-text:visible'), '微信扫一扫')
  assert.ok(await page.isVisible('#marks .mark'))
  site.policy = sitePolicy(hub.url)
  site.files = { '/': `<!doctype html><script type="module" src="${hub.url}/assets/client/widget/login-qr.js"></script><login-qr client="demo" lang="en"></login-qr>` }
  const embedded = await visit(site.url)
  await embedded.waitForSelector('login-qr .card[data-state=pending]')
  assert.equal(await embedded.textContent('login-qr .status'), 'Scan with WeChat')
  assert.ok(await embedded.isVisible('login-qr .status svg'))
  // No phone can confirm the logins of this client.
  const web = await visit('/?client_id=web')
  await inState(web, 'pending')
  assert.deepEqual([await web.isVisible('#qr'), await web.isVisible('#with'), await web.isVisible('#wechat-web button')], [false, false, true])
  await embedded.$eval('login-qr', (widget) => widget.setAttribute('client', 'web'))
  await embedded.waitForSelector('login-qr .status span:text("another way")')
  assert.ok(!await embedded.isVisible('login-qr .code'))
})

after(() => {
  weChat.server.closeAllConnections()
  weChat.server.close()
})
