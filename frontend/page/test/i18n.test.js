import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fill } from '../i18n.js'

test('fill: unknown placeholders become empty', () => {
  assert.equal(fill('{a} and {b}', { a: '{b}' }), '{b} and ')
})
