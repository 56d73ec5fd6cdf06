import assert from 'node:assert/strict'
import { cpSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { PLACES, freePort, startNode, tempDir, waitFor } from './hub.js'
import { createFrame } from '../client/widget/drawcode.js'
import { FakeWX, startLogin } from './miniprogram.js'

const { compileScript, parse } = createRequire(import.meta.url)('vue/compiler-sfc')
const here = fileURLToPath(new URL('.', import.meta.url))
// Vue needs more of a browser than the simulator.
for (const name of ['SVGElement', 'MathMLElement', 'Element']) globalThis[name] ??= window[name] ?? class {}

/** Compiles a page, with this imitation of uni-app: a page's onLoad gets `launch`. */
async function load(hubURL, name) {
  const path = `pages/${name}/${name}.vue`
  const dir = tempDir('uni')
  cpSync(join(here, '../uni-app'), dir, { recursive: true })
  symlinkSync(join(here, 'node_modules'), join(dir, 'node_modules'))
  writeFileSync(join(dir, 'package.json'), '{"type":"module"}')
  writeFileSync(join(dir, 'config.js'), `export default { hub: '${hubURL}/' }`)
  writeFileSync(join(dir, 'uni.js'), 'export const onLoad = (run) => run(globalThis.launch)')
  const { descriptor, errors } = parse(readFileSync(join(dir, path), 'utf8'), { filename: path })
  assert.deepEqual(errors, [])
  const isCustomElement = (tag) => ['view', 'button'].includes(tag)
  const { content } = compileScript(descriptor, { id: 'page', inlineTemplate: true, templateOptions: { compilerOptions: { isCustomElement } } })
  const module = join(dir, `pages/${name}/${name}.js`)
  writeFileSync(module, content.replace("'@dcloudio/uni-app'", "'../../uni.js'"))
  const [{ createApp }, page] = await Promise.all([import(pathToFileURL(join(dir, 'node_modules/vue/index.mjs')).href), import(pathToFileURL(module).href)])
  return (query) => {
    globalThis.launch = query
    const root = document.createElement('main')
    const app = createApp(page.default)
    app.mount(root)
    return {
      root, app,
      find: (selector) => root.querySelector(selector),
      async shows(text) {
        await waitFor(() => root.textContent.includes(text), 10000).catch(() => assert.fail(`${text} is not in: ${root.textContent}`))
      },
    }
  }
}

let hub, open, openNotice, wx
let spoiled = 0 // so many codes are invalid
const spoil = (data) => (data && spoiled-- > 0 ? { ...data, code: 'spoiled' } : data)
before(async () => {
  const port = await freePort()
  const clients = join(tempDir('uni-clients'), 'clients.yaml')
  writeFileSync(clients, 'clients: [{id: demo, label: {zh: 演示}, origins: [https://www.example.com]}, {id: match, number_matching: true}, {id: living, living_code: 2s}, {id: notice, events: {url: "http://127.0.0.1:9", secret_env: EVENTS_SECRET}}]')
  hub = await startNode(port, { LOGINHUB_PUBLIC_URL: `http://127.0.0.1:${port}`, LOGINHUB_CLIENTS: clients, LOGINHUB_GEOIP_FILE: PLACES, LOGINHUB_TRUSTED_PROXIES: '127.0.0.1/32', EVENTS_SECRET: `whsec_${Buffer.alloc(32, 1).toString('base64')}` })
  wx = new FakeWX({})
  const promised = (run) => (options) => new Promise((success, fail) => run({ ...options, success, fail }))
  globalThis.uni = {
    getEnterOptionsSync: () => ({ scene: globalThis.scene ?? 1011 }),
    login: () => assert.fail('a sandbox has no WeChat'),
    // A sandbox asks for no message, so that of WeChat is imitated.
    request: (options) => promised(wx.request)({ ...options, data: spoil(options.data) }).then((answer) => (options.url.endsWith('/scan') && globalThis.template ? { ...answer, data: { ...answer.data, notice_template: globalThis.template } } : answer)),
    requestSubscribeMessage: async ({ tmplIds: [id] }) => globalThis.allowed ? { [id]: globalThis.allowed } : Promise.reject(new Error('20004')),
    exitMiniProgram: () => { wx.closed = true },
    scanCode: promised((options) => { wx.read = globalThis.camera; wx.scanCode(options) }),
  }
  open = await load(hub.url, 'confirm')
  openNotice = await load(hub.url, 'notice')
})
after(() => hub?.stop())

test('uni-app: confirms, after a launch by link and by its own camera', async () => {
  for (const camera of [false, true]) {
    const login = await startLogin(hub.url, { client_id: 'demo' })
    const page = open(camera ? {} : { q: encodeURIComponent(login.qr_url) })
    if (camera) {
      globalThis.camera = { result: login.qr_url }
      page.find('.scan').click()
    }
    for (const text of ['登录 演示', 'www.example.com', 'Chrome 150', '剩余']) await page.shows(text)
    wx.network = 'down'
    page.find('.confirm').click()
    await page.shows('网络不通')
    wx.network = ''
    spoiled = 1
    page.find('.retry').click()
    await page.shows('已登录')
    assert.equal((await login.view(2)).state, 'confirmed')
    page.app.unmount()
  }
})

test('uni-app: a living code, by link and by its own camera; without its frame the user scans again', async () => {
  const login = await startLogin(hub.url, { client_id: 'living' })
  const page = open({ ticket: login.ticket })
  await page.shows('二维码已经变了')
  globalThis.camera = { result: `${login.qr_url}?f=${await createFrame(login.frame_key, 0)}` }
  page.find('.scan').click()
  await page.shows('登录 living')
  page.app.unmount()
  const other = await startLogin(hub.url, { client_id: 'living' })
  const byLink = open({ q: encodeURIComponent(`${other.qr_url}?f=${await createFrame(other.frame_key, 0)}`) })
  await byLink.shows('登录 living')
  byLink.app.unmount()
})

test('uni-app: a computer that is far away', async () => {
  wx.forwarded = { 'X-Forwarded-For': '198.51.100.9' }
  const login = await startLogin(hub.url, { client_id: 'demo' }, { 'X-Forwarded-For': '203.0.113.7' })
  const page = open({ ticket: login.ticket })
  for (const text of ['中国 上海', '电脑离手机很远']) await page.shows(text)
  assert.ok(page.find('.warning.strong'))
  page.app.unmount()
  wx.forwarded = {}
})

test('uni-app: number matching, rejection, a forwarded code, and an end', async () => {
  globalThis.scene = 1012
  const login = await startLogin(hub.url, { client_id: 'match' })
  const page = open({ ticket: login.ticket })
  await page.shows('二维码是别人发来的')
  page.find('.confirm').click()
  await page.shows('电脑上显示的数字')
  ;[...page.root.querySelectorAll('.choices button')].find((button) => button.textContent === login.match_code).click()
  await waitFor(() => page.find('.chosen'))
  page.find('.confirm').click()
  await page.shows('已登录')
  const second = await startLogin(hub.url, { client_id: 'demo' })
  const refused = open({ scene: second.ticket })
  await refused.shows('登录 演示')
  refused.find('.reject').click()
  await refused.shows('已拒绝')
  assert.equal((await second.view(2)).state, 'rejected')
  await open({ scene: second.ticket }).shows('这次登录已经结束')
  await open({ q: '%E0%A4%A' }).shows('请扫描电脑上的二维码')
})

test('uni-app: the message after a login is asked for in the tap, and "not me" ends the login', async () => {
  globalThis.scene = undefined
  globalThis.template = 'T'
  let login
  for (const [answer, notice] of [[undefined, undefined], ['reject', undefined], ['accept', true]]) {
    globalThis.allowed = answer
    login = await startLogin(hub.url, { client_id: 'notice' })
    const page = open({ ticket: login.ticket })
    await page.shows('登录 notice')
    page.find('.confirm').click()
    await page.shows('已登录')
    assert.equal(wx.sent.notice, notice)
    page.app.unmount()
  }
  const page = openNotice({ ticket: login.ticket })
  await page.shows('刚才登录的是您本人吗？')
  page.find('.mine').click()
  assert.ok(wx.closed)
  assert.equal((await login.view(0)).state, 'confirmed')
  wx.network = 'down'
  page.find('.reject').click()
  await page.shows('网络不通')
  wx.network = ''
  page.find('.retry').click()
  await page.shows('已撤销这次登录')
  assert.deepEqual([(await login.view(0)).state, (await login.view(0)).reason], ['rejected', 'user'])
  await openNotice({ ticket: '../other' }).shows('无法撤销')
})
