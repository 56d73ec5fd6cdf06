import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { createFrame } from '../widget/drawcode.js'
import { frameNumber, livingURL, withFrame } from '../widget/livingcode.js'

const ticket = { qr_url: 'https://hub.test/s/t', frame_key: 'AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8', frame_step: 2, frame_window: 20, expires_in: 120 }
let reduced = false
globalThis.matchMedia = () => ({ matches: reduced })

test('living code: the frames of api/PROTOCOL.md', async () => {
  assert.equal(await createFrame(ticket.frame_key, 12), '12.5Uc959Yrvow')
  assert.equal(await livingURL(ticket, 96), 'https://hub.test/s/t?f=12.5Uc959Yrvow')
  assert.equal(withFrame('app://go?q=scene%3Dt%26f%3D{frame}', '12.5Uc959Yrvow'), 'app://go?q=scene%3Dt%26f%3D12.5Uc959Yrvow')
})

test('living code: steps by the hub’s time, slower with reduced motion', () => {
  const at = (ages) => ages.map((age) => frameNumber(ticket, 120 - age))
  assert.deepEqual(at([-1, 0, 1, 2, 3, 4, 119]), [0, 0, 0, 1, 1, 2, 59])
  reduced = true
  assert.deepEqual(at([0, 9, 10, 19, 20, 119]), [0, 0, 5, 5, 10, 55]) // every half of the window
})

test('living code: the encoder is the npm package’s', () => {
  const read = (name) => readFileSync(new URL(name, import.meta.url), 'utf8')
  const { version } = JSON.parse(read('../../e2e/node_modules/lean-qr/package.json'))
  const [licence, code] = read('../widget/lean-qr.js').split(' */\n')
  assert.ok(licence.includes(`lean-qr ${version},`), version)
  assert.equal(code, read('../../e2e/node_modules/lean-qr/nano.mjs'))
})
