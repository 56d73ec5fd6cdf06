import assert from 'node:assert/strict'
import { browserTest, inState } from '../browser.js'
import { imitate } from '../imitation.js'

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
