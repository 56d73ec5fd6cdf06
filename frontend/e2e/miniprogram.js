import assert from 'node:assert/strict'
import { once } from 'node:events'
import { spawn } from 'node:child_process'
import { createRequire } from 'node:module'
import { createInterface } from 'node:readline'
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { JSDOM } from 'jsdom'
import { build, freePort, root, startNode } from './hub.js'

export const miniprogramDir = join(root, 'frontend/miniprogram')
const require = createRequire(import.meta.url)

/** Starts a node whose provider is an imitation of WeChat. `code(user)` returns a code as wx.login does. */
export async function startWeChat({ clients, env } = {}) {
  const wechat = spawn(build('./wechat/wechattest/server'), ['wxtest', 'secret'], { stdio: ['pipe', 'pipe', 'inherit'] })
  const [line] = await once(createInterface(wechat.stdout), 'line')
  const { api, control } = JSON.parse(line)
  const port = await freePort()
  const node = await startNode(port, {
    LOGINHUB_PUBLIC_URL: `http://127.0.0.1:${port}`,
    LOGINHUB_WECHAT_APP_ID: 'wxtest',
    LOGINHUB_WECHAT_APP_SECRET: 'secret',
    LOGINHUB_WECHAT_API_URL: api,
    ...clients && { LOGINHUB_CLIENTS: clients },
    ...env,
  })
  const callControl = async (path, method = 'POST') => (await fetch(control + path, { method })).text()
  return {
    url: node.url,
    code: (user) => callControl(`/code?user=${encodeURIComponent(user)}`),
    phoneCode: (number) => callControl(`/phone?number=${number}`),
    allow: (user, template) => callControl(`/allow?user=${encodeURIComponent(user)}&template=${template}`),
    messages: async () => JSON.parse(await callControl('/messages', 'GET')),
    fail: (errcode) => callControl(`/fail?errcode=${errcode}`),
    calls: async () => Number(await callControl('/calls', 'GET')),
    async stop() {
      await node.stop()
      wechat.stdin.end()
      await once(wechat, 'exit')
    },
  }
}

/** Starts a login as a browser. Returns its ticket, and `view(after)`. `headers` imitate those of a proxy. */
export async function startLogin(hubURL, body = {}, headers = {}) {
  const answer = await fetch(`${hubURL}/api/login/tickets`, {
    method: 'POST', headers: { 'Content-Type': 'application/json', 'User-Agent': 'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/150.0.0.0 Safari/537.36', ...headers }, body: JSON.stringify(body),
  })
  const created = await answer.json()
  return {
    ...created,
    async view(after) {
      const poll = await fetch(`${hubURL}/api/login/tickets/${created.ticket}/poll?after=${after}&wait=10`, { headers: { Authorization: `Bearer ${created.secret}` } })
      return poll.json()
    },
  }
}

/**
 * Imitates the part of the global `wx` that the pages use: codes from the imitation of WeChat, real
 * requests, `success` for every status, JSON parsed regardless of the media type. Tests set `user`,
 * `scene`, `apiCategory`, `language`, `read` (the camera's result), `network` ('down', 'slow'),
 * `notice` (the answer to wx.requestSubscribeMessage, or its errCode) and `forwarded` (headers of a
 * proxy). `log` lists the calls.
 */
export class FakeWX {
  user = 'ming'
  scene = 1011
  language = 'zh_CN'
  notice = 'accept'
  log = []
  #stored = new Map()
  #wechat

  constructor(wechat) {
    this.#wechat = wechat
  }

  login = ({ success, fail }) => {
    this.log.push('login')
    if (this.network === 'down') return runLater(() => fail({ errMsg: 'login:fail network error' }))
    return this.#wechat.code(this.user).then((code) => success({ code: this.code ?? code, errMsg: 'login:ok' }), fail)
  }

  request = ({ url, method, header, data, success, fail }) => {
    if (method === 'POST') {
      this.log.push(url.split('/').at(-1))
      this.header = header
      this.sent = data
    }
    if (this.network === 'down') return runLater(() => fail({ errno: 600003, errMsg: 'request:fail Unable to resolve host' }))
    if (this.network === 'slow') return runLater(() => fail({ errno: 5, errMsg: 'request:fail timeout' }))
    return fetch(url, { method, headers: { ...header, ...this.forwarded }, body: data && JSON.stringify(data) }).then(async (answer) => {
      const body = await answer.text()
      let parsed = body
      try {
        parsed = JSON.parse(body)
      } catch { /* as in wx.request: data stays a string */ }
      success({ statusCode: answer.status, data: parsed, header: Object.fromEntries(answer.headers), errMsg: 'request:ok' })
    }, (err) => fail({ errMsg: `request:fail ${err}` }))
  }

  requestSubscribeMessage = ({ tmplIds: [template], success, fail }) => {
    this.log.push('ask')
    const inTap = tapping
    return runLater(async () => {
      if (!inTap) return fail({ errMsg: 'requestSubscribeMessage:fail can only be invoked by user TAP gesture.' })
      if (typeof this.notice === 'number') return fail({ errCode: this.notice, errMsg: 'requestSubscribeMessage:fail' })
      if (this.notice.startsWith('accept')) await this.#wechat.allow(this.user, template)
      return success({ [template]: this.notice, errMsg: 'requestSubscribeMessage:ok' })
    })
  }

  uploadFile = ({ success }) => runLater(() => success({ statusCode: 200, data: '{"url":"https://pictures.test/a.png"}' }))
  scanCode = ({ onlyFromCamera, success, fail }) => {
    this.log.push(onlyFromCamera ? 'camera' : 'album')
    runLater(() => (this.read ? success(this.read) : fail({ errMsg: 'scanCode:fail cancel' })))
  }

  getEnterOptionsSync = () => ({ scene: this.scene, apiCategory: this.apiCategory ?? 'default', query: {}, path: '' })
  getAppBaseInfo = () => ({ language: this.language })
  getStorageSync = (key) => this.#stored.get(key) ?? ''
  setStorageSync = (key, value) => this.#stored.set(key, structuredClone(value))
  setNavigationBarTitle = ({ title }) => { this.title = title }
  navigateTo = ({ url }) => { this.opened = url }
  reLaunch = ({ url }) => { this.opened = url }
  exitMiniProgram = () => { this.closed = true }
}

let tapped = false // the next handler is that of a tap
let tapping = false // its synchronous part runs
const runLater = (run) => void queueMicrotask(run)

// The simulator needs a browser's globals.
const { window } = new JSDOM('<!doctype html><body></body>')
for (const name of ['window', 'document', 'CustomEvent', 'Event', 'Node', 'HTMLElement', 'MutationObserver']) {
  globalThis[name] = name === 'window' ? window : window[name]
}
const simulate = require('miniprogram-simulate')
// By WeChat's manual a page is a component: everything except its data is a method.
globalThis.Page = ({ data, ...methods }) => {
  for (const [name, method] of Object.entries(methods)) {
    methods[name] = function handler(...args) {
      const before = tapping
      tapping ||= tapped
      tapped = false
      try {
        return method.apply(this, args)
      } finally {
        tapping = before
      }
    }
  }
  globalThis.Component({ data, methods })
}

/** Compiles a page with WeChat's compiler, renders it and opens it with a query. */
export async function openPage(name, wx, query = {}) {
  globalThis.wx = wx
  const app = globalThis.app ??= { globalData: { scanned: '' } }
  globalThis.getApp = () => app
  const id = loaded[name] ??= simulate.load(join(miniprogramDir, name), { rootPath: miniprogramDir, compiler: 'official' })
  const page = simulate.render(id)
  page.attach(document.createElement('div'))
  const opening = page.instance.onLoad(query)
  return {
    page,
    app,
    get data() {
      return page.data
    },
    text: () => page.dom.textContent.replace(/\s+/g, ' ').trim(),
    find: (selector) => page.querySelector(selector),
    opened: () => opening,
    close: () => page.instance.onUnload?.(),
  }
}
/** Taps the button with the text, and waits until the page has its answer. */
export async function tap(page, label) {
  const button = page.page.querySelectorAll('.action').concat(page.page.querySelectorAll('.number')).find((element) => element.dom.textContent === label)
  assert.ok(button, `no button "${label}" in: ${page.text()}`)
  tapped = true
  button.dispatchEvent('tap')
  do {
    await new Promise((done) => setImmediate(done))
  } while (page.data.busy)
}
const loaded = {} // the simulator loads a file once

/** Returns the files of the mini-program with a suffix. */
export function files(suffix, dir = miniprogramDir) {
  return readdirSync(dir, { recursive: true }).filter((name) => name.endsWith(suffix)).map((name) => join(dir, name))
}

export const readText = (path) => readFileSync(path, 'utf8')
