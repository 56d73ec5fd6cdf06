import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after } from 'node:test'
import { browserTest, inState } from './browser.js'
import { build, tempDir } from './hub.js'

const server = build('./hub/provider/providertest/server')
const dir = tempDir('providers')

/** Starts the imitation of a provider. Returns its entry in the clients file. */
async function imitate(kind) {
  const child = spawn(server, ['--kind', kind], { stdio: ['pipe', 'pipe', 'inherit'] })
  after(() => child.stdin.end())
  const [line] = await once(child.stdout, 'data')
  const { fields, secret } = JSON.parse(line)
  writeFileSync(join(dir, kind), secret, { mode: 0o600 })
  return `  - {id: ${kind}, kind: ${kind}, ${fields.replaceAll('SECRET', join(dir, kind))}}\n`
}

const kinds = ['alipay', 'dingtalk', 'feishu', 'oidc', 'qq', 'wecom']
const clients = `providers:\n${(await Promise.all(kinds.map(imitate))).join('')}clients: [{id: demo, origins: [ORIGIN]}]\n`

for (const kind of kinds) {
  browserTest(`${kind}: the user agrees on the provider's page, and the login page has the token`, { clients }, async ({ visit }) => {
    const page = await visit('/')
    await inState(page, 'pending')
    const [second] = await Promise.all([page.context().waitForEvent('page'), page.click(`form[action="/api/connect/${kind}"] button`)])
    await second.click('#allow')
    await second.waitForSelector('main[data-outcome="confirmed"]')
    await inState(page, 'done')
    assert.match(await page.textContent('[data-claim=sub]'), new RegExp(`^${kind}:.*alice|^qq:`))
  })
}
