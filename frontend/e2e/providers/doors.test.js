import assert from 'node:assert/strict'
import { PHONE, accessible, browserTest, chooseLanguage, inState } from '../browser.js'
import { imitate } from '../imitation.js'

const entries = [(await imitate('oidc')).replace('}', ', label: 员工 Staff}'), await imitate('wecom'), await imitate('alipay'), await imitate('dingtalk')]
entries.push(entries[0].replace('id: oidc', 'id: staff'))
const clients = `providers:\n${entries.join('')}clients:
  - {id: demo, origins: [ORIGIN], providers: [oidc, wecom, alipay, dingtalk]}
  - {id: two, origins: [ORIGIN], providers: [alipay, oidc]}
  - {id: twins, origins: [ORIGIN], providers: [oidc, staff]}
`
const ORDER = ['oidc', 'wecom', 'alipay', 'dingtalk']

/** Returns the providers of the visible buttons, in the document's order. */
const buttons = (page) => page.$$eval('form.redirect:not([hidden])', (forms) => forms.map((form) => form.dataset.kind))

browserTest('providers: the code with its apps, then a row of marks with names, in the order of the file', { clients }, async ({ visit }) => {
  const page = await visit('/', { viewport: { width: 320, height: 800 } })
  for (const [language, with_, names, connect] of [
    ['zh-CN', '企业微信、支付宝、钉钉扫一扫', ['员工 Staff', '企业微信', '支付宝', '钉钉'], '在此浏览器中用企业微信登录'],
    ['zh-TW', '企業微信、支付寶、釘釘掃一掃', ['员工 Staff', '企業微信', '支付寶', '釘釘'], '在此瀏覽器中用企業微信登入'],
    ['ja', 'WeCom、AlipayまたはDingTalkでスキャン', ['员工 Staff', 'WeCom', 'Alipay', 'DingTalk'], 'このブラウザーでWeComを使ってログイン'],
    ['en', 'Scan with WeCom, Alipay or DingTalk', ['员工 Staff', 'WeCom', 'Alipay', 'DingTalk'], 'Log in with WeCom in this browser'],
  ]) {
    await inState(page, 'pending')
    await chooseLanguage(page, language)
    assert.equal(await page.textContent('#with-text:visible'), with_)
    assert.equal(await page.locator('#marks svg').count(), 3)
    assert.deepEqual(await buttons(page), ORDER)
    assert.deepEqual(await page.$$eval('.redirect button', (all) => all.map((button) => button.innerText.trim())), names)
    assert.ok(await page.getByRole('button', { name: connect }).isVisible())
    const tops = await page.$$eval('.redirect', (forms) => forms.map((form) => form.getBoundingClientRect().top))
    assert.deepEqual([tops[1], tops[2], tops[3] > tops[0]], [tops[0], tops[0], true], 'three in a row')
    for (const dir of ['ltr', 'rtl']) {
      await page.evaluate((value) => { document.dir = value }, dir)
      assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `too wide, ${dir}`)
    }
    for (const colorScheme of ['light', 'dark']) {
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' })
      await accessible(page)
    }
  }
  const two = await visit('/?client_id=two')
  await inState(two, 'pending')
  assert.equal(await two.locator('.row, .redirect .mark').count(), 0)
  assert.equal(await two.evaluate(() => import('/assets/client/widget/apps.js').then(({ createMark }) => createMark('new', '新').textContent)), '新')
  const phone = await visit('/?client_id=twins', { ...PHONE, userAgent: 'iPhone' })
  await inState(phone, 'pending')
  const twins = await phone.$$eval('.redirect button', (all) => all.map((button) => button.innerText))
  assert.deepEqual(twins, ['在此浏览器中用员工 Staff (oidc)登录', '在此浏览器中用员工 Staff (staff)登录'])
})

browserTest('providers: the last used one comes first, in that browser only', { clients }, async ({ visit, t }) => {
  const page = await visit('/')
  await inState(page, 'pending')
  const [second] = await Promise.all([page.context().waitForEvent('page'), page.click('form[data-kind=alipay] button')])
  await second.click('#allow')
  await inState(page, 'done')
  await page.reload()
  await inState(page, 'pending')
  assert.deepEqual(await buttons(page), ['alipay', 'oidc', 'wecom', 'dingtalk'])
  const [button, code] = await page.$$('form[data-kind=alipay] button, #qr')
  assert.equal(await button.innerText(), '在此浏览器中用支付宝登录\n上次使用', 'it is not before the code')
  assert.ok((await button.boundingBox()).y < (await code.boundingBox()).y)
  await accessible(page)
  const other = await visit('/?client_id=two', { context: page.context() })
  await inState(other, 'pending')
  assert.deepEqual(await buttons(other), ['oidc', 'alipay'])
  assert.equal(await other.locator('.last').count(), 0)

  // The code was used last: no button comes before it.
  const context = await page.context().browser().newContext({ ...PHONE, userAgent: 'DingTalk/7.0 Mobile' })
  t.after(() => { context.close().catch(() => {}) })
  const phone = await context.newPage()
  const number = await page.textContent('#match')
  await phone.goto(new URL(`/s/${(await page.getAttribute('#qr', 'src')).match(/[\w-]{22}/)}`, page.url()).href)
  if (await phone.$('#allow')) await phone.click('#allow')
  await phone.check(`input[value="${number}"]`, { force: true })
  await phone.click('#confirm')
  await inState(page, 'done')
  await page.reload()
  await inState(page, 'pending')
  assert.deepEqual(await buttons(page), ORDER)
})
