import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { chooseLanguage, fill } from '../i18n.js'
import { messages as phoneMessages } from '../phone-messages.js'
import { messages } from '../messages.js'

const shape = (value) => (typeof value === 'object'
  ? Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, shape(inner)]).sort())
  : [...value.matchAll(/\{\w+\}/g)].map(([gap]) => gap).sort().join())

// The texts that protect the reader: a page without them is a risk, not a matter of style.
const required = { 'index.html': ['safe'], 'phone.html': ['asks', 'warning', 'reject', 'confirm'] }

for (const [page, all, parts] of [['index.html', messages, []], ['phone.html', phoneMessages, ['parts.html']]]) {
  test(`${page}: all messages in all languages`, () => {
    assert.deepEqual(shape(all.en), shape(all.zh))
    assert.deepEqual(shape(all.tw), shape(all.zh))
    const html = [page, ...parts].map((name) => readFileSync(new URL(`../${name}`, import.meta.url), 'utf8')).join('')
    const keys = [...html.matchAll(/data-t="(\w+)"|\{\{\.T\.(\w+)\}\}/g)].map(([, set, written]) => set ?? written)
    assert.ok(keys.length > 0)
    for (const key of keys) assert.equal(typeof all.en[key], 'string', key)
    for (const key of required[page]) {
      assert.ok(keys.includes(key), `${page} does not show ${key}`)
      for (const [language, texts] of Object.entries(all)) assert.ok(texts[key].trim(), `${key} is empty in ${language}`)
    }
  })
}

test('chooseLanguage: URL, then browser, then English', () => {
  assert.equal(chooseLanguage('?lang=en', ['zh-CN']), 'en')
  assert.equal(chooseLanguage('?lang=zh-TW', ['en']), 'tw')
  assert.equal(chooseLanguage('', ['zh-Hant', 'en']), 'tw')
  assert.equal(chooseLanguage('', ['zh-HK']), 'tw')
  assert.equal(chooseLanguage('', ['zh-Hans-HK']), 'zh')
  assert.equal(chooseLanguage('', ['fr', 'zh-Hans-CN', 'en']), 'zh')
  assert.equal(chooseLanguage('?lang=__proto__', ['toString']), 'en')
  assert.equal(chooseLanguage('', undefined), 'en')
})

test('fill: unknown placeholders become empty', () => {
  assert.equal(fill('{a} and {b}', { a: '{b}' }), '{b} and ')
})
