import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after } from 'node:test'
import { PHONE, accessible, browserTest, inState, onScreen } from '../browser.js'
import { root, tempDir } from '../hub.js'
import { imitate, startWeChat } from '../imitation.js'
import { LANGUAGES, messages } from '../messages.js'
import { sitePolicy } from '../site.js'

const PHONE_AGENT = 'Mozilla/5.0 (Linux; Android 15; V2309A) AppleWebKit/537.36 Version/4.0 Chrome/130.0 Mobile Safari/537.36'
// What each app's own browser adds.
const AGENTS = {
  alipay: 'NebulaSDK/1.8 AlipayDefined AliApp(AP/10.7) AlipayClient/10.7.0',
  dingtalk: 'AliApp(DingTalk/7.6.40) com.alibaba.android.rimet DingTalk(7.6.40)',
  feishu: 'Lark/7.30.6 LarkLocale/zh_CN ChannelName/Feishu',
  qq: 'V1_AND_SQ_9.1.0 QQ/9.1.0.22445 NetType/WIFI',
  wechat: 'MicroMessenger/8.0.54 NetType/WIFI',
  wecom: 'wxwork/4.1.36 MicroMessenger/7.0.1 Language/zh',
}
const NAMES = { alipay: '支付宝', dingtalk: '钉钉', feishu: '飞书', qq: 'QQ', wechat: '微信', wecom: '企业微信' }

const weChat = await startWeChat()
after(() => {
  weChat.server.closeAllConnections()
  weChat.server.close()
})
const secret = join(tempDir('onecode'), 'secret')
writeFileSync(secret, 'account-secret', { mode: 0o600 })
const kinds = Object.keys(AGENTS).filter((kind) => kind !== 'wechat')
const clients = `providers:
${(await Promise.all([...kinds, 'oidc'].map(imitate))).join('')}  - {id: wechat, kind: wechat_h5, app_id: wx0123456789abcdef, app_secret_file: ${secret}, api_url: '${weChat.url}', authorize_url: '${weChat.url}'}
clients:
  - {id: demo, label: {zh: 演示, en: Demo}, origins: [ORIGIN]}
  - {id: few, origins: [ORIGIN], providers: [wecom, oidc]}
  - {id: plain, origins: [ORIGIN], providers: [feishu], number_matching: false}
`

// Opens the link of the page's code in an app's browser.
async function openLink(page, t, { agent = '', path = '', ...options } = {}) {
  const code = await page.waitForSelector('#login[data-state=pending] #qr, login-qr .card[data-state=pending] .code')
  const src = await code.getAttribute('src')
  const id = /tickets\/([\w-]{22})/.exec(src)[1]
  const context = await page.context().browser().newContext({ ...PHONE, locale: 'zh-CN', userAgent: `${PHONE_AGENT} ${agent}`, ...options })
  t.after(() => { context.close().catch(() => {}) })
  const tab = await context.newPage()
  tab.setDefaultTimeout(15000)
  await tab.goto(new URL(`/s/${id}${path}`, src).href)
  return tab
}

for (const [app, agent] of Object.entries(AGENTS)) {
  browserTest(`${NAMES[app]} opens the code: its user sees who asks, chooses the number and is logged in`, { clients }, async ({ visit, t }) => {
    const page = await visit('/?client_id=demo')
    const tab = await openLink(page, t, { agent })
    await tab.click('#allow')
    await onScreen(tab, 'consent')
    await inState(page, 'scanned')
    assert.equal(await tab.textContent('#site'), '演示')
    assert.match(await tab.textContent('#browser'), /Chrome/)
    await tab.check(`[name=match][value="${await page.textContent('#match')}"]`, { force: true })
    await tab.click('#confirm')
    await onScreen(tab, 'confirmed')
    await inState(page, 'done')
    assert.match(await page.textContent('[data-claim=sub]'), app === 'wechat' ? /^wechat_mp:/ : new RegExp(`^${app}:`))
  })
}

browserTest('consent page: accessible, works without scripts, in every language', { clients }, async ({ visit, t }) => {
  const page = await visit('/?client_id=plain')
  const tab = await openLink(page, t, { agent: AGENTS.feishu, javaScriptEnabled: false })
  await tab.click('#allow')
  await onScreen(tab, 'consent')
  for (const lang of LANGUAGES) {
    await tab.selectOption('#language', lang)
    await tab.click('.languages button')
    assert.equal(await tab.getAttribute('html', 'lang'), lang)
    const { title, warning, host, confirm } = messages[lang].phone
    for (const text of [title, warning, host, confirm]) assert.ok((await tab.textContent('main')).includes(text), text)
  }
  const buttons = await Promise.all(['#reject', '#confirm'].map((id) => tab.locator(id).boundingBox()))
  assert.deepEqual([buttons[0].width, buttons[0].height], [buttons[1].width, buttons[1].height])
  assert.ok(!await tab.isVisible('#choices')) // number_matching: false
  await tab.click('#reject')
  await onScreen(tab, 'rejected')
  await inState(page, 'rejected')

  const other = await visit('/?client_id=demo')
  const again = await openLink(other, t, { agent: AGENTS.wecom })
  await again.click('#allow')
  await onScreen(again, 'consent')
  await again.click('#confirm') // without a number the browser asks for one
  assert.equal(await again.getAttribute('#phone', 'data-screen'), 'consent')
  await accessible(again)
})

browserTest('other browsers: an app that cannot log in says which can; a camera offers the ways to go on', { clients }, async ({ visit, t }) => {
  const page = await visit('/?client_id=few')
  const inQQ = await openLink(page, t, { agent: AGENTS.qq })
  assert.equal(await inQQ.textContent('h1'), 'QQ不能登录这个网站')
  assert.match(await inQQ.textContent('main'), /请打开企业微信/)
  assert.equal(await inQQ.locator('a.button').count(), 0)
  await accessible(inQQ)
  const camera = await openLink(page, t)
  assert.deepEqual(await camera.locator('a.button').allTextContents(), ['用统一登录登录'])
  await camera.click('a.button')
  await camera.click('#allow')
  await onScreen(camera, 'consent')
  await inState(page, 'scanned')
})

const branded = `${clients.split('clients:')[0]}clients:
  - {id: demo, origins: [ORIGIN, SITE], providers: [feishu], branding: {logo: ${join(root, 'frontend/docs/login.png')}, accent: '#8b0000', accent_dark: '#ff8a80', theme: dark}}
`
browserTest('branding: page, consent page and a site’s widget have its logo and colours', { clients: branded, site: true }, async ({ hub, site, visit, t }) => {
  site.policy = sitePolicy(hub.url)
  site.files = { '/': `<!doctype html><html lang="en"><title>A site</title><script type="module" src="${hub.url}/assets/client/widget/login-qr.js"></script><main><h1>A site</h1><login-qr client="demo" theme="dark"></login-qr></main></html>` }
  const [page, widget] = [await visit('/'), await visit(site.url)]
  const consent = await openLink(page, t, { agent: AGENTS.feishu })
  await consent.click('#allow')
  await onScreen(consent, 'consent')
  await inState(page, 'scanned')
  for (const [shown, within, logo, selector, property, background] of [
    [page, 'body', '.brand img', '.arc', 'stroke', 'rgb(12, 18, 20)'],
    [consent, '.phone', '.mark', '#confirm', 'backgroundColor', 'rgb(21, 29, 33)'],
    [widget, 'login-qr .card', 'login-qr .logo', 'login-qr .arc', 'stroke', 'rgb(22, 30, 36)'],
  ]) {
    assert.equal(await shown.locator(logo).evaluate((img) => img.decode().then(() => img.naturalWidth)), 256)
    assert.deepEqual(await Promise.all([[within, 'backgroundColor'], [selector, property]].map(([css, name]) => (
      shown.locator(css).evaluate((element, key) => getComputedStyle(element)[key], name)))), [background, 'rgb(255, 138, 128)'], within)
    await accessible(shown)
  }
})

const pictureHost = 's1-imfile.feishucdn.com' // of the imitation
browserTest('picture of a verified user: shown by page and widget; the initial if it does not load', {
  clients: clients.replace('{id: plain, origins: [ORIGIN]', '{id: plain, origins: [ORIGIN, SITE]'), site: true, expected: /ERR_FAILED|img-src/,
}, async ({ hub, site, visit, t }) => {
  let answer
  const scan = async (url, card) => {
    const page = await visit(url, { prepare: (page) => page.route(`https://${pictureHost}/**`, (route) => answer(route)) })
    const tab = await openLink(page, t, { agent: AGENTS.feishu })
    await tab.click('#allow')
    await page.waitForSelector(`${card}[data-state=scanned]`)
    assert.ok(!(await page.innerText(card)).includes(messages['zh-CN'].login.claimed))
    return [page, tab]
  }
  const requireCover = async (page, circle) => {
    const shown = await page.waitForSelector(`${circle} .picture:visible`)
    const boxes = await shown.evaluate((picture, whole) => [picture, whole].map((element) => JSON.stringify(element.getBoundingClientRect())), await page.$(circle)) // in one frame of the animation
    assert.equal(boxes[0], boxes[1])
  }
  site.embedder = 'unsafe-none'
  site.files = { '/': `<!doctype html><title>A site</title><script type="module" src="${hub.url}/assets/client/widget/login-qr.js"></script><login-qr client="plain"></login-qr>` }

  answer = (route) => {
    assert.equal(route.request().headers().referer, undefined)
    return route.fallback()
  }
  const [page, tab] = await scan('/?client_id=plain', '#login')
  await requireCover(page, '#face .avatar')
  await accessible(page)
  await tab.click('#confirm')
  await inState(page, 'done')
  await requireCover(page, '#who .avatar')
  site.policy = sitePolicy(hub.url).replace('img-src', `img-src https://${pictureHost}`)
  const [embedded, other] = await scan(site.url, 'login-qr .card')
  await requireCover(embedded, 'login-qr .initial')
  await other.click('#confirm')
  await embedded.waitForSelector('login-qr .card[data-state=consumed]')
  await requireCover(embedded, 'login-qr .initial')

  let failed
  answer = (route) => failed(route.abort())
  let gone = new Promise((resolve) => { failed = resolve })
  const [alone] = await scan('/?client_id=plain', '#login')
  await gone
  assert.deepEqual([await alone.isVisible('#face .picture'), await alone.textContent('#face .avatar')], [false, 'A'])
  site.policy = sitePolicy(hub.url)
  const [strict] = await scan(site.url, 'login-qr .card')
  assert.deepEqual([await strict.isVisible('login-qr .picture'), await strict.textContent('login-qr .initial')], [false, 'A'])
})
