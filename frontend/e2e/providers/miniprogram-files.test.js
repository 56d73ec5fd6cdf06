import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, relative } from 'node:path'
import { test } from 'node:test'
import * as phone from '../../page/phone-api.js'
import { messages as catalogue } from '../messages.js'
import { root } from '../hub.js'
import { FakeWX, files, miniprogramDir, openPage, readText } from '../miniprogram.js'

const require = createRequire(import.meta.url)
const { ticketFromQuery, ticketFromScan } = require('../../miniprogram/lib/launch.js')
const { assessRisk } = require('../../miniprogram/lib/risk.js')
const { CLOSED_SCREENS, SCREENS } = require('../../miniprogram/lib/api.js')
const messages = require('../../miniprogram/lib/messages.js')

const TICKET = 'Abcdefghij-klmnopqrs_0'
const link = `https://login.example.com/s/${TICKET}`

const launches = [
  ['an ordinary link', { q: encodeURIComponent(link), scancode_time: '1800000000' }, TICKET],
  ['a link under a path, with a query', { q: encodeURIComponent(`https://h.test/hub/s/${TICKET}?lang=en`) }, TICKET],
  ['a mini-program code', { scene: TICKET }, TICKET],
  ['an encoded mini-program code', { scene: encodeURIComponent(TICKET) }, TICKET],
  ['a scheme', { ticket: TICKET }, TICKET],
  ['a scheme, in short', { t: TICKET }, TICKET],
  ['nothing', {}, ''],
  ['a broken escape', { q: '%E0%A4%A' }, ''],
  ['a shorter ticket', { scene: TICKET.slice(1) }, ''],
  ['a longer link', { q: encodeURIComponent(`${link}x`) }, ''],
  ['another path', { q: encodeURIComponent(`https://login.example.com/x/${TICKET}`) }, ''],
  ['a scheme that is none of ours', { q: encodeURIComponent(`javascript://h/s/${TICKET}`) }, ''],
]
for (const [name, query, ticket] of launches) {
  test(`mini-program launch: ${name}`, () => assert.equal(ticketFromQuery(query), ticket))
}

test('mini-program launch: the camera reads both kinds of code', () => {
  assert.equal(ticketFromScan({ result: link, scanType: 'QR_CODE' }), TICKET)
  assert.equal(ticketFromScan({ path: `pages/confirm/confirm?scene=${encodeURIComponent(TICKET)}`, scanType: 'WX_CODE', result: '' }), TICKET)
  assert.equal(ticketFromScan({ path: `pages/confirm/confirm?q=${encodeURIComponent(link)}` }), TICKET)
  assert.equal(ticketFromScan({ result: 'https://example.com/menu' }), '')
  assert.equal(ticketFromScan({}), '')
})

// What the hub reports about the two addresses. In the fourth the site wants a warning; in the last two they are far apart.
const logins = [{ same_ip: true }, { same_ip: false }, {}, { same_ip: false, address_warning: true }, { far_away: true }, { same_ip: false, address_warning: true, far_away: true }]

test('mini-program risk: depends on launch and addresses', () => {
  for (const scene of [1012, 1013, 1048, 1049]) {
    assert.deepEqual(logins.map((login) => assessRisk(scene, login)), ['picture', ...Array(5).fill('pictureStrong')])
  }
  for (const scene of [1007, 1008, 1037, 1065, 1167, 1194, 1286]) {
    assert.deepEqual(logins.map((login) => assessRisk(scene, login)), ['link', ...Array(5).fill('linkStrong')])
  }
  for (const scene of [1001, 1011, 1047, undefined]) assert.deepEqual(logins.map((login) => assessRisk(scene, login)), ['', '', '', 'networkStrong', 'farStrong', 'farStrong'])
})

const shape = (value) => (typeof value === 'object' && !Array.isArray(value)
  ? Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, shape(inner)]).sort())
  : Array.isArray(value) ? value.length : typeof value)

test('mini-program messages: all languages have all keys and screens', () => {
  assert.deepEqual(shape(messages['zh-TW']), shape(messages['zh-CN']))
  assert.deepEqual(shape(messages.en), shape(messages['zh-CN']))
  for (const screen of [...Object.values(SCREENS), ...Object.values(CLOSED_SCREENS), 'confirmed', 'rejected', 'refused', 'none', 'browse']) assert.equal(messages.en[screen].length, 2, screen)
})

// Codes for faults of the program or the browser. The screen shows the hub's own text.
const OTHER_CODES = ['invalid_request', 'invalid_secret', 'origin_not_allowed', 'state_invalid', 'state_foreign', 'guest_user', 'event_invalid', 'not_found', 'method_not_allowed',
  'scan_required', 'not_confirmed', 'too_large', 'unsupported_media_type', 'code_invalid', 'upgrade_required', 'provider_misconfigured']

test('mini-program screens: every error code of openapi.yaml is covered', () => {
  const [, codes] = /code: \{.*enum: \[(.+?)\]/.exec(readText(join(root, 'api/openapi.yaml')))
  const withScreen = Object.keys(SCREENS).filter((code) => !['timeout', 'network'].includes(code)) // these are for no answer
  assert.deepEqual([...withScreen, ...OTHER_CODES].sort(), codes.split(', ').sort())
})

test('sandbox phone: same messages, risks and screens as the mini-program', () => {
  for (const tag of Object.keys(messages)) {
    const phoneMessages = catalogue[tag].phone
    const shared = Object.keys(messages[tag]).filter((name) => name in phoneMessages)
    assert.ok(shared.length > 30, `only ${shared}`)
    for (const name of shared) assert.deepEqual(phoneMessages[name], messages[tag][name], name)
  }
  assert.deepEqual([phone.SCREENS, phone.CLOSED_SCREENS], [SCREENS, CLOSED_SCREENS])
  const [esModule, commonJS] = ['frontend/page/risk.js', 'frontend/miniprogram/lib/risk.js'].map((file) => readText(join(root, file)))
  assert.equal(esModule, commonJS.replace('module.exports =', 'export'))
})

test('app.json: all named files exist', () => {
  const app = JSON.parse(readText(join(miniprogramDir, 'app.json')))
  for (const page of app.pages) {
    for (const kind of ['js', 'json', 'wxml', 'wxss']) assert.ok(existsSync(join(miniprogramDir, `${page}.${kind}`)), `${page}.${kind}`)
  }
  for (const file of [app.sitemapLocation, app.themeLocation, 'project.config.json', ...files('.json').map((path) => relative(miniprogramDir, path))]) JSON.parse(readText(join(miniprogramDir, file)))
  const theme = JSON.parse(readText(join(miniprogramDir, app.themeLocation)))
  for (const [, name] of readText(join(miniprogramDir, 'app.json')).matchAll(/"@(\w+)"/g)) assert.ok(theme.light[name] && theme.dark[name], name)
  assert.equal(JSON.parse(readText(join(miniprogramDir, 'project.config.json'))).appid, 'touristappid')
})

test('mini-program modules: required paths exist inside it', () => {
  for (const file of files('.js')) {
    for (const [, path] of readText(file).matchAll(/require\('(.+?)'\)/g)) {
      const target = join(dirname(file), path.endsWith('.js') ? path : `${path}.js`)
      assert.ok(existsSync(target) && target.startsWith(miniprogramDir), `${file}: ${path}`)
    }
  }
})

// The compiler accepts unknown names. The page would show nothing for them, without an error.
for (const name of ['pages/index/index', 'pages/confirm/confirm', 'pages/notice/notice']) {
  test(`mini-program template: ${name} uses only data of its page`, async () => {
    const { page } = await openPage(name, new FakeWX({}))
    const wxml = readText(join(miniprogramDir, `${name}.wxml`))
    const local = ['item', 'index', 'length', 'true', 'false']
    for (const [, expression] of wxml.matchAll(/\{\{(.+?)\}\}/g)) {
      const bare = expression.replace(/'[^']*'/g, '')
      for (const [, dot, identifier] of bare.matchAll(/(\.?)\b([a-z_]\w*)/gi)) {
        if (!dot) assert.ok(identifier in page.data || local.includes(identifier), `{{${expression}}}: ${identifier}`)
      }
      for (const [, word] of bare.matchAll(/messages\.(\w+)/g)) assert.ok(word in messages.en, `{{${expression}}}: ${word}`)
    }
    const handlers = [...wxml.matchAll(/\bbind:?\w+="(\w+)"/g)].map(([, handler]) => handler)
    assert.ok(handlers.length > 0)
    for (const handler of handlers) assert.equal(typeof page.instance[handler], 'function', handler)
  })
}

// There is no layout in these tests, so the rules are compared.
test('mini-program styles: texts from outside break anywhere', () => {
  const rules = ['app.wxss', 'pages/confirm/confirm.wxss'].map((file) => readText(join(miniprogramDir, file))).join('')
  const shown = [...readText(join(miniprogramDir, 'pages/confirm/confirm.wxml')).matchAll(/class="(\w+)">[^<]*\{\{(?:site|hosts|ip|browser|os|name|hint)\}\}/g)]
  assert.equal(shown.length, 7)
  for (const [text, style] of shown) assert.match(rules, new RegExp(`^\\.${style} \\{.*word-break: break-`, 'm'), text)
})
