import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import { cleanName, initialOf } from '../widget/names.js'

const phone = createRequire(import.meta.url)('../../miniprogram/lib/profile.js')
const england = '🏴\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}'

test('names: what shows nothing is no name, in the browser and in the mini-program', () => {
  for (const blank of ['', ' \u3000', '\u3164', '\u2800', '\u115f\u1160', '\uffa0', '\u200b\u200d', '\u202e', '\u2066', '\ufe0f', '\u{e0100}', '\u{e0067}\u{e007f}', '\u0301', '\u034f', '\ufeff\u00ad', '\u061c']) {
    assert.equal(cleanName(blank), '', JSON.stringify(blank))
    assert.equal(phone.cleanName(blank), '', JSON.stringify(blank))
  }
  for (const name of ['小明', england, `a${england}b`, '👨‍👩‍👧', '❤️', '👍🏽', 'Zoe\u0308', 'می\u200cخواهم']) {
    assert.equal(cleanName(`\u3164${name} `), name)
    assert.equal(phone.cleanName(`\u3164${name} `), name)
  }
  assert.equal(cleanName(undefined), '')
  assert.equal(cleanName('a\u{e0067}\u202eb'), 'ab')
})

test('names: the initial is what people see as one letter', () => {
  const names = { ann: 'A', 小明: '小', [`${england} fan`]: england, '🇨🇳x': '🇨🇳', '👨‍👩‍👧 us': '👨‍👩‍👧', 'e\u0301va': 'E\u0301', [`z${'\u0301'.repeat(40)}`]: 'Z', '': '' }
  for (const [name, initial] of Object.entries(names)) assert.equal(initialOf(name), initial)
  const { Segmenter } = Intl
  Intl.Segmenter = undefined
  try {
    assert.equal(initialOf('😀a'), '😀') // Firefox before 125
  } finally {
    Intl.Segmenter = Segmenter
  }
})
