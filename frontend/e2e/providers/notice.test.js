import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { tempDir } from '../hub.js'
import { FakeWX, openPage, startLogin, startWeChat, tap } from '../miniprogram.js'

const require = createRequire(import.meta.url)
const messages = require('../../miniprogram/lib/messages.js')
const { askForNotice } = require('../../miniprogram/lib/notice.js')
const config = require('../../miniprogram/config.js')
const zh = messages['zh-CN']

let hub
before(async () => {
  const clients = join(tempDir('notice'), 'clients.yaml')
  writeFileSync(clients, `
clients:
  - id: notice
    label: {zh: 演示, en: Demo}
    providers: [wechat]
    login_notice: {template_id: login, fields: {thing1: "{site}", time2: "{time}", thing3: "{place}"}}
  - {id: plain, providers: [wechat]}
`)
  hub = await startWeChat({ clients })
  config.hub = hub.url
})
after(() => hub?.stop())

/** Opens the consent page for a new login of the client. */
async function scan(wx, client) {
  const login = await startLogin(hub.url, { client_id: client })
  const page = await openPage('pages/confirm/confirm', wx, { q: encodeURIComponent(login.qr_url) })
  after(() => page.close())
  await page.opened()
  return { login, page }
}

/** Opens the page of the message about a login. */
async function openNotice(wx, ticket) {
  const page = await openPage('pages/notice/notice', wx, { ticket })
  after(() => page.close())
  return page
}

test('mini-program notice: WeChat asks in the tap, and the login does not depend on the answer', async () => {
  for (const [answer, notice] of [['accept', true], ['acceptWithAudio', true], ['reject', undefined], ['ban', undefined], ['filter', undefined], [20004, undefined], [20013, undefined]]) {
    const wx = new FakeWX(hub)
    wx.notice = answer
    const { login, page } = await scan(wx, 'notice')
    await tap(page, zh.confirm)
    assert.deepEqual([page.data.screen, wx.sent.notice], ['confirmed', notice], answer)
    assert.deepEqual(wx.log, ['login', 'scan', 'ask', 'login', 'confirm'])
    assert.equal((await login.view(0)).state, 'confirmed')
  }
  for (const [client, change] of [['plain', () => {}], ['notice', (wx) => { wx.requestSubscribeMessage = undefined }]]) {
    const wx = new FakeWX(hub)
    change(wx)
    const { page } = await scan(wx, client)
    await tap(page, zh.confirm)
    assert.deepEqual([page.data.screen, wx.log], ['confirmed', ['login', 'scan', 'login', 'confirm']])
  }
})

test('mini-program notice: WeChat never answers', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const asked = askForNotice({ requestSubscribeMessage: () => {} }, 'login')
  t.mock.timers.tick(30_000)
  assert.equal(await asked, false)
})

test('mini-program notice: "not me" ends the login, "it was me" closes the page', async () => {
  const wx = new FakeWX(hub)
  const { login, page } = await scan(wx, 'notice')
  await tap(page, zh.confirm)
  const mine = await openNotice(wx, login.ticket)
  for (const expected of [zh.noticeAsks, zh.noticeHint, zh.noticeWarning]) assert.ok(mine.text().includes(expected), mine.text())
  assert.equal(wx.title, zh.noticeTitle)
  await tap(mine, zh.noticeMine)
  assert.ok(wx.closed)
  assert.equal((await login.view(0)).state, 'confirmed')

  wx.network = 'down'
  const notice = await openNotice(wx, login.ticket)
  await tap(notice, zh.noticeNotMine)
  assert.ok(notice.text().includes(zh.offline[0]))
  wx.network = ''
  await tap(notice, zh.retry)
  assert.ok(notice.text().includes(zh.disputed[0]) && notice.text().includes(zh.disputed[1]), notice.text())
  const view = await login.view(0)
  assert.deepEqual([view.state, view.reason, view.token], ['rejected', 'user', undefined])
})

test('mini-program notice: another account, an unknown login, no ticket, English', async () => {
  const wx = new FakeWX(hub)
  const { login, page } = await scan(wx, 'notice')
  await tap(page, zh.confirm)
  const other = new FakeWX(hub)
  other.user = 'other'
  other.language = 'en'
  const notice = await openNotice(other, login.ticket)
  await tap(notice, messages.en.noticeNotMine)
  assert.ok(notice.text().includes(messages.en.noticeOther[0]), notice.text())
  assert.equal((await login.view(0)).state, 'confirmed')
  const unknown = await openNotice(wx, 'Abcdefghij-klmnopqrs_0')
  await tap(unknown, zh.noticeNotMine)
  assert.ok(unknown.text().includes(zh.noticeOld[0]), unknown.text())
  assert.ok((await openNotice(wx, '../other')).text().includes(zh.noticeOld[0]))
})
