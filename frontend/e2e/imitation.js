import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { after } from 'node:test'
import { build, tempDir } from './hub.js'

let server
const dir = tempDir('providers')

/** Starts the imitation of a provider. Returns its entry in the clients file. */
export async function imitate(kind) {
  server ??= build('./hub/provider/providertest/server')
  const child = spawn(server, ['--kind', kind], { stdio: ['pipe', 'pipe', 'inherit'] })
  after(() => child.stdin.end())
  const [line] = await once(child.stdout, 'data')
  const { fields, secret } = JSON.parse(line)
  writeFileSync(join(dir, kind), secret, { mode: 0o600 })
  return `  - {id: ${kind}, kind: ${kind}, ${fields.replaceAll('SECRET', join(dir, kind))}}\n`
}

/** Imitates the part of WeChat that a browser uses: the authorize pages and the two calls behind them. */
export async function startWeChat() {
  const server = createServer((request, response) => {
    const url = new URL(request.url, 'http://wechat')
    const json = (value) => response.setHeader('Content-Type', 'text/plain').end(JSON.stringify(value))
    if (url.pathname.startsWith('/connect/')) {
      const back = `${url.searchParams.get('redirect_uri')}?code=CODE0123456789&state=${url.searchParams.get('state')}`
      const deny = `${url.searchParams.get('redirect_uri')}?state=${url.searchParams.get('state')}`
      response.setHeader('Content-Type', 'text/html').end(`<!doctype html><link rel="icon" href="data:,"><a id="allow" href="${back}">allow</a> <a id="deny" href="${deny}">deny</a>`)
    } else if (url.pathname === '/sns/oauth2/access_token') json({ access_token: 'T', openid: 'o-alice', expires_in: 7200 })
    else json({ openid: 'o-alice', nickname: '爱丽丝', headimgurl: '' })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { server, url: `http://127.0.0.1:${server.address().port}` }
}
