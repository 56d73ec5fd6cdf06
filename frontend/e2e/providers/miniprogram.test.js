import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { PLACES, freePort, startNode, tempDir } from '../hub.js'
import { createFrame } from '../../client/widget/drawcode.js'
import { FakeWX, openPage, startLogin, startWeChat, tap } from '../miniprogram.js'

const require = createRequire(import.meta.url)
const messages = require('../../miniprogram/lib/messages.js')
const config = require('../../miniprogram/config.js')

const TICKET = 'Abcdefghij-klmnopqrs_0'
const link = `https://login.example.com/s/${TICKET}`

let hub
before(async () => {
  const clients = join(tempDir('mini'), 'clients.yaml')
  writeFileSync(clients, `
clients:
  - id: demo
    label: {zh: 演示, en: Demo}
    origins: [https://www.example.com, https://shop.example.com]
    providers: [wechat]
  - id: match
    label: {zh: 数字, en: Numbers}
    origins: [https://match.example.com]
    providers: [wechat]
    number_matching: true
  - id: warn
    label: {zh: 提醒, en: Warns}
    origins: [https://warn.example.com]
    providers: [wechat]
    address_mismatch: warn
  - id: refuse
    label: {zh: 拒绝, en: Refuses}
    origins: [https://refuse.example.com]
    providers: [wechat]
    address_mismatch: refuse
  - {id: ask, providers: [wechat], phone_number: ask}
  - {id: must, providers: [wechat], phone_number: require}
  - {id: living, providers: [wechat], living_code: 2s}
`)
  hub = await startWeChat({ clients, env: { LOGINHUB_TRUSTED_PROXIES: '127.0.0.1/32', LOGINHUB_GEOIP_FILE: PLACES } })
  config.hub = hub.url
})
after(() => hub?.stop())

const opened = []
after(() => opened.forEach((page) => page.close()))

/** Opens the consent page for a new login. */
async function scan(wx, login, query = { q: encodeURIComponent(login.qr_url) }) {
  const page = await openPage('pages/confirm/confirm', wx, query)
  opened.push(page)
  await page.opened()
  return page
}

const zh = messages['zh-CN']

test('mini-program login: by an ordinary link', async () => {
  const login = await startLogin(hub.url, { client_id: 'demo' })
  const wx = new FakeWX(hub)
  const page = await scan(wx, login)
  const shown = page.text()
  for (const expected of ['演示', 'www.example.com, shop.example.com', 'Chrome 150', 'Windows', zh.same.undefined, zh.warning, zh.reject, zh.confirm]) {
    assert.ok(shown.includes(expected), `${expected} is not in: ${shown}`)
  }
  assert.match(shown, /\d\d:\d\d:\d\d/)
  assert.match(shown, /剩余时间\s*[0-2]:\d\d/)
  assert.ok(!shown.includes(zh.risks.link))
  assert.equal((await login.view(1)).state, 'scanned')
  await tap(page, zh.confirm)
  assert.ok(page.text().includes(zh.confirmed[0]))
  const view = await login.view(2)
  assert.equal(view.state, 'confirmed')
  assert.match(JSON.parse(Buffer.from(view.token.split('.')[1], 'base64url')).sub, /^wechat:wxtest:o/)
  assert.deepEqual(wx.log, ['login', 'scan', 'login', 'confirm'], 'a new code right before each call')
})

/** Answers WeChat's dialog behind the button for the phone number. */
async function answerPhone(page, detail) {
  const button = page.page.querySelectorAll('.action').find((element) => element.dom.textContent === zh.confirmWithPhone)
  button.dispatchEvent('getphonenumber', { detail })
  do {
    await new Promise((done) => setImmediate(done))
  } while (page.data.busy)
}

test('mini-program phone number: asked for, declined, refused, given', async () => {
  const numberIn = (view) => JSON.parse(Buffer.from(view.token.split('.')[1], 'base64url')).phone_number
  const wx = new FakeWX(hub)
  const declined = await startLogin(hub.url, { client_id: 'ask' })
  const page = await scan(wx, declined)
  assert.ok(page.text().includes(zh.phoneAsks.ask))
  await answerPhone(page, { errMsg: 'getPhoneNumber:fail user deny' })
  assert.ok(page.text().includes(zh.phoneDeclined))
  await tap(page, zh.confirmWithoutPhone)
  assert.equal(numberIn(await declined.view(2)), undefined)

  const login = await startLogin(hub.url, { client_id: 'must' })
  const must = await scan(wx, login)
  assert.ok(must.text().includes(zh.phoneAsks.require) && !must.text().includes(zh.confirmWithoutPhone))
  await answerPhone(must, { code: 'invented' })
  assert.deepEqual([must.data.screen, must.data.phoneHint], ['consent', zh.phoneDeclined], 'a refused code leaves the button')
  await answerPhone(must, { code: await hub.phoneCode('13800138000') })
  assert.ok(must.text().includes('+86138****8000') && !must.text().includes('13800138000'))
  assert.equal(numberIn(await login.view(2)), '+8613800138000')
})

for (const [how, query] of [['a mini-program code', (t) => ({ scene: t })], ['a plain scheme', (t) => ({ ticket: t })]]) {
  test(`mini-program login: by ${how}`, async () => {
    const login = await startLogin(hub.url, { client_id: 'demo' })
    const page = await scan(new FakeWX(hub), login, query(login.ticket))
    await tap(page, zh.confirm)
    assert.equal((await login.view(2)).state, 'confirmed')
  })
}

test('mini-program living code: what it has read goes along, and without it the user scans again', async () => {
  const login = await startLogin(hub.url, { client_id: 'living' })
  const [calls, frame] = [await hub.calls(), await createFrame(login.frame_key, 0)]
  const forged = await scan(new FakeWX(hub), login, { q: encodeURIComponent(`${login.qr_url}?f=0.AAAAAAAAAAA`) })
  const without = await scan(new FakeWX(hub), login)
  assert.deepEqual([forged.data.screen, without.data.screen, without.data.headline], ['stale', 'stale', zh.stale[0]])
  assert.equal(await hub.calls(), calls, 'WeChat is not asked')
  const wx = new FakeWX(hub)
  const startedAt = performance.now()
  await scan(wx, login, { q: encodeURIComponent(`${login.qr_url}?f=${frame}`) })
  console.log(`mini-program living code: ${(performance.now() - startedAt).toFixed(0)} ms from its launch to the answer, without WeChat's own start`)
  assert.equal((await login.view(1)).state, 'scanned')

  const other = await startLogin(hub.url, { client_id: 'living' })
  assert.ok(!other.launch_url || other.launch_url.includes(`scene%3D${other.ticket}%26f%3D{frame}`), other.launch_url)
  const byLink = await scan(new FakeWX(hub), other, { scene: other.ticket, f: await createFrame(other.frame_key, 0) })
  assert.equal(byLink.data.screen, 'consent')
  const third = await startLogin(hub.url, { client_id: 'living' })
  const camera = new FakeWX(hub)
  camera.read = { result: `${third.qr_url}?f=${await createFrame(third.frame_key, 0)}` }
  await tap(await openPage('pages/index/index', camera), zh.scanCode)
  assert.equal((await scan(camera, third, {})).data.screen, 'consent')
})

test('mini-program login: by its own camera, without a warning', async () => {
  const login = await startLogin(hub.url, { client_id: 'demo' })
  const wx = new FakeWX(hub)
  wx.scene = 1007
  wx.read = { result: login.qr_url }
  const index = await openPage('pages/index/index', wx)
  await tap(index, zh.scanCode)
  assert.deepEqual([wx.log, wx.opened], [['camera'], '/pages/confirm/confirm'])
  const page = await scan(wx, login, {})
  assert.equal(page.data.screen, 'consent')
  assert.equal(page.data.warning, '')
  assert.equal((await scan(wx, login, {})).data.screen, 'none', 'the scanned ticket was used twice')
  wx.read = { result: 'https://example.com/menu' }
  await tap(index, zh.scanCode)
  assert.ok(index.text().includes(zh.foreign))
})

test('mini-program risk: a forwarded picture and a card get a strong warning', async () => {
  for (const [scene, warning] of [[1012, zh.risks.pictureStrong], [1049, zh.risks.pictureStrong], [1008, zh.risks.linkStrong], [1286, zh.risks.linkStrong]]) {
    const wx = new FakeWX(hub)
    wx.scene = scene
    const page = await scan(wx, await startLogin(hub.url, { client_id: 'demo' }))
    assert.ok(page.find('.strong').dom.textContent.includes(warning), `scene ${scene}`)
  }
})

const [SAME_NETWORK, OTHER_NETWORK, FAR_AWAY] = ['203.0.113.7', '192.0.2.9', '198.51.100.9'].map((address) => ({ 'X-Forwarded-For': address }))

test('addresses: the mini-program shows the place, and a strong warning if it is far away or address_mismatch is warn', async () => {
  const rows = [
    ['warn', OTHER_NETWORK, 1011, 'networkStrong'], // an ordinary scan with the camera
    ['warn', OTHER_NETWORK, 1012, 'pictureStrong'],
    ['warn', SAME_NETWORK, 1011, undefined],
    ['demo', OTHER_NETWORK, 1011, undefined],
    ['demo', FAR_AWAY, 1011, 'farStrong'],
    ['warn', FAR_AWAY, 1011, 'farStrong'],
  ]
  for (const [set, tag] of [['zh_CN', 'zh-CN'], ['zh_TW', 'zh-TW'], ['en', 'en']]) {
    for (const [client, forwarded, scene, warning] of rows) {
      const wx = Object.assign(new FakeWX(hub), { forwarded, scene, language: set })
      const login = await startLogin(hub.url, { client_id: client }, SAME_NETWORK)
      const page = await scan(wx, login)
      assert.equal(page.find('.strong')?.dom.textContent, messages[tag].risks[warning], `${client}, scene ${scene}, ${tag}`)
      assert.ok(page.text().includes(tag === 'en' ? 'Shanghai, China' : '中国 上海'), page.text())
      await tap(page, messages[tag].confirm) // a warning does not prevent the confirm
      assert.equal((await login.view(2)).state, 'confirmed')
    }
  }
})

test('address_mismatch refuse: the mini-program shows it, and the ticket stays pending', async () => {
  const login = await startLogin(hub.url, { client_id: 'refuse' }, SAME_NETWORK)
  const wx = Object.assign(new FakeWX(hub), { forwarded: OTHER_NETWORK })
  const page = await scan(wx, login)
  for (const text of zh.elsewhere) assert.ok(page.text().includes(text), page.text())
  assert.deepEqual(wx.log, ['login', 'scan'], 'the call was repeated')
  assert.equal((await login.view(0)).state, 'pending')
  wx.forwarded = SAME_NETWORK
  const again = await scan(wx, login)
  await tap(again, zh.confirm)
  assert.equal((await login.view(2)).state, 'confirmed')
})

test('mini-program login: in the sandbox, without WeChat', async (t) => {
  const port = await freePort()
  const sandbox = await startNode(port, { LOGINHUB_PUBLIC_URL: `http://127.0.0.1:${port}` })
  t.after(() => sandbox.stop())
  config.hub = `${sandbox.url}/`
  t.after(() => { config.hub = hub.url })
  const wx = new FakeWX(hub)
  wx.login = () => assert.fail('there is no WeChat')
  for (const [button, state] of [[zh.confirm, 'confirmed'], [zh.reject, 'rejected']]) {
    const login = await startLogin(sandbox.url)
    const page = await scan(wx, login)
    await tap(page, button)
    const view = await login.view(2)
    assert.equal(view.state, state)
    if (view.token) assert.equal(JSON.parse(Buffer.from(view.token.split('.')[1], 'base64url')).sub, 'sandbox:DevTools')
  }
})

test('mini-program login: rejected', async () => {
  const login = await startLogin(hub.url, { client_id: 'demo' })
  const page = await scan(new FakeWX(hub), login)
  await tap(page, zh.reject)
  assert.ok(page.text().includes(zh.rejected[0]))
  assert.equal((await login.view(2)).state, 'rejected')
})

test('mini-program number matching: a number is required, the wrong one rejects', async () => {
  for (const correct of [true, false]) {
    const login = await startLogin(hub.url, { client_id: 'match' })
    const page = await scan(new FakeWX(hub), login)
    assert.equal(page.data.choices.length, 3)
    await tap(page, zh.confirm)
    assert.equal(page.data.screen, 'consent', 'confirmed without a number')
    await tap(page, page.data.choices.find((number) => (number === login.match_code) === correct))
    await tap(page, zh.confirm)
    assert.equal(page.data.screen, correct ? 'confirmed' : 'mismatch')
    assert.equal((await login.view(2)).state, correct ? 'confirmed' : 'rejected')
  }
})

test('mini-program retry: a used code and a busy WeChat, once, with a new code', async () => {
  for (const errcode of [40029, 40163, -1]) {
    const login = await startLogin(hub.url, { client_id: 'demo' })
    const wx = new FakeWX(hub)
    await hub.fail(errcode)
    const page = await scan(wx, login)
    assert.equal(page.data.screen, 'consent', `errcode ${errcode}`)
    assert.deepEqual(wx.log, ['login', 'scan', 'login', 'scan'])
  }
})

test('mini-program retry: only once', async () => {
  for (const [errcode, screen] of [[40029, 'refused'], [-1, 'trouble']]) {
    await hub.fail(errcode)
    await hub.fail(errcode)
    const wx = new FakeWX(hub)
    const page = await scan(wx, await startLogin(hub.url, { client_id: 'demo' }))
    assert.equal(page.data.screen, screen)
    assert.equal(wx.log.length, 4)
    assert.equal(page.data.retry, screen === 'trouble')
  }
})

test('mini-program screens: offline and timeout, with a retry', async () => {
  const login = await startLogin(hub.url, { client_id: 'demo' })
  const wx = new FakeWX(hub)
  wx.network = 'down'
  const page = await scan(wx, login)
  assert.ok(page.text().includes(zh.offline[0]))
  wx.network = 'slow'
  await tap(page, zh.retry)
  assert.ok(page.text().includes(zh.timeout[0]))
  wx.network = ''
  await tap(page, zh.retry)
  assert.equal(page.data.screen, 'consent')
  await tap(page, zh.confirm)
  assert.equal(page.data.screen, 'confirmed')
})

test('mini-program screens: taken, closed, unknown, blocked, no code, browse only', async () => {
  const login = await startLogin(hub.url, { client_id: 'demo' })
  const first = await scan(new FakeWX(hub), login)
  const other = new FakeWX(hub)
  other.user = 'other'
  assert.ok((await scan(other, login)).text().includes(zh.taken[0]))
  await tap(first, zh.confirm)
  assert.ok((await scan(other, login)).text().includes(zh.closed[0]))
  assert.ok((await scan(other, login, { scene: TICKET })).text().includes(zh.gone[0]))
  await hub.fail(40226)
  assert.ok((await scan(other, await startLogin(hub.url, { client_id: 'demo' }))).text().includes(zh.blocked[0]))
  assert.ok((await scan(other, login, { q: encodeURIComponent('https://example.com') })).text().includes(zh.none[0]))
  other.apiCategory = 'browseOnly'
  assert.ok((await scan(other, login)).text().includes(zh.browse[0]))
})

test('mini-program screens: expired', async (t) => {
  const shortLived = await startWeChat({ env: { LOGINHUB_TICKET_TTL: '1s' } })
  t.after(() => shortLived.stop())
  config.hub = shortLived.url
  t.after(() => { config.hub = hub.url })
  const login = await startLogin(shortLived.url)
  assert.equal((await login.view(1)).state, 'expired')
  assert.ok((await scan(new FakeWX(shortLived), login)).text().includes(zh.expired[0]))
})

test('mini-program screens: answers of proxies', async () => {
  const wx = new FakeWX(hub)
  wx.request = ({ success }) => success({ statusCode: 502, data: '<h1>Bad Gateway</h1>', header: { 'retry-after': '3' } })
  const page = await scan(wx, { qr_url: link })
  assert.ok(page.text().includes(zh.trouble[0]))
  assert.equal(page.data.wait, true)
  const problem = { 'content-type': 'application/problem+json' }
  for (const [statusCode, data, header] of [
    [404, '404 page not found', {}], [403, '<h1>Forbidden</h1>', {}], [408, '', undefined], [200, '<h1>Welcome</h1>', {}], [204, '', {}],
    [200, { status: 'ok' }, {}], [200, { state: 'confirmed' }, {}], [410, { code: 'ticket_expired' }, {}], [404, { code: 'E17' }, problem],
  ]) {
    wx.request = ({ success }) => success({ statusCode, data, header })
    const { screen, retry } = (await scan(wx, { qr_url: link })).data
    assert.deepEqual([screen, retry], ['trouble', true], `${statusCode} ${data}`)
  }
  for (const [code, reason, expected] of [
    ['ticket_expired', undefined, 'expired'], ['ticket_closed', 'cancelled_here', 'cancelled'], ['ticket_closed', 'user', 'withdrawn'],
    ['ticket_closed', 'wrong_number', 'mismatch'], ['ticket_closed', 'constructor', 'closed'], ['constructor', undefined, 'trouble'],
  ]) {
    wx.request = ({ success }) => success({ statusCode: 409, data: { code, reason }, header: { 'Content-Type': 'Application/Problem+JSON; charset=utf-8' } })
    assert.equal((await scan(wx, { qr_url: link })).data.screen, expected, `${code} ${reason}`)
  }
})

test('mini-program countdown: at 0:00 there is no button to confirm', async (t) => {
  t.mock.timers.enable({ apis: ['setInterval', 'Date'] })
  const wx = new FakeWX(hub)
  const page = await scan(wx, await startLogin(hub.url, { client_id: 'demo' }))
  t.mock.timers.tick(119_000)
  assert.match(page.text(), /0:0[12]/)
  t.mock.timers.tick(2000)
  assert.ok(page.text().includes(zh.expired[0]) && !page.text().includes(zh.confirm), page.text())
  assert.deepEqual(wx.log, ['login', 'scan'])
})

test('mini-program profile: only saved values are sent', async (t) => {
  const wx = new FakeWX(hub)
  await scan(wx, await startLogin(hub.url, { client_id: 'demo' }))
  assert.deepEqual(wx.sent.user, {})
  config.uploadURL = 'https://pictures.test/upload'
  t.after(() => { config.uploadURL = '' })
  const index = await openPage('pages/index/index', wx)
  await index.page.instance.chooseAvatar({ detail: { avatarUrl: 'wxfile://tmp/1.png' } })
  index.page.instance.save({ detail: { value: { nickname: '  小明  ' } } })
  assert.ok(index.text().includes(zh.saved))
  const login = await startLogin(hub.url, { client_id: 'demo' })
  const page = await scan(wx, login)
  assert.deepEqual(wx.sent.user, { nickname: '小明', avatar_url: 'https://pictures.test/a.png' })
  assert.ok(page.text().includes(`${zh.shownAs}小明`))
  assert.deepEqual((await login.view(1)).user, { nickname: '小明', avatar_url: 'https://pictures.test/a.png' })
  index.page.instance.forget()
  await scan(wx, await startLogin(hub.url, { client_id: 'demo' }))
  assert.deepEqual(wx.sent.user, {})
})

test('mini-program language: WeChat’s, also in the hub’s answers', async () => {
  for (const [set, tag, label] of [['zh_TW', 'zh-TW', '演示'], ['en', 'en', 'Demo']]) {
    const wx = new FakeWX(hub)
    wx.language = set
    const page = await scan(wx, await startLogin(hub.url, { client_id: 'demo' }))
    assert.ok(page.text().includes(messages[tag].warning))
    assert.equal(page.data.site, label)
    assert.equal(wx.title, messages[tag].title)
  }
})
