import assert from 'node:assert/strict'
import { readFileSync, readdirSync } from 'node:fs'
import { test } from 'node:test'
import { gzipSync } from 'node:zlib'

// 9,000 bytes; what an authorization request needs (the redirect, the form and the cookie); and
// 700 for the token that only the page can read.
test('size: below 10 kB gzipped', () => {
  const dir = new URL('../', import.meta.url)
  const files = readdirSync(dir).filter((name) => name.endsWith('.js'))
  const all = files.map((name) => readFileSync(new URL(name, dir))).join('')
  assert.ok(files.length > 0)
  assert.ok(gzipSync(all, { level: 9 }).length < 10000)
})
