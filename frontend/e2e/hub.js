import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../../', import.meta.url))

let built

/** The binary under test: LOGINHUB_BIN, or the one built, once, from this tree. */
function binary() {
  if (process.env.LOGINHUB_BIN) return process.env.LOGINHUB_BIN
  if (built) return built
  const dir = mkdtempSync(join(tmpdir(), 'loginhub-build-'))
  process.on('exit', () => rmSync(dir, { recursive: true, force: true }))
  built = join(dir, 'loginhub')
  execFileSync('go', ['build', '-o', built, './cmd/loginhub'], { cwd: root, stdio: 'inherit' })
  return built
}

/** A port that is free now. */
async function freePort() {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  server.close()
  await once(server, 'close')
  return port
}

/**
 * A hub with the embedded store and the sandbox, ready to serve. `publicURL` is where browsers
 * find it, by default on `host` and the port where it listens; `clients` is the text of a
 * clients file, where ORIGIN stands for that address.
 */
export async function startHub({ publicURL, host = '127.0.0.1', env = {}, clients } = {}) {
  const dir = mkdtempSync(join(tmpdir(), 'loginhub-e2e-'))
  const port = await freePort()
  const listen = `127.0.0.1:${port}`
  const settings = {
    LOGINHUB_LISTEN: listen,
    LOGINHUB_ADMIN_LISTEN: '',
    LOGINHUB_PUBLIC_URL: publicURL ?? `http://${host}:${port}`,
    ...env,
  }
  if (clients) {
    settings.LOGINHUB_CLIENTS = join(dir, 'clients.yaml')
    writeFileSync(settings.LOGINHUB_CLIENTS, clients.replace('ORIGIN', settings.LOGINHUB_PUBLIC_URL))
  }
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith('LOGINHUB_'))
  const hub = spawn(binary(), [], { env: { ...Object.fromEntries(inherited), ...settings } })
  let log = ''
  for (const stream of [hub.stdout, hub.stderr]) stream.on('data', (text) => { log += text })
  const exited = once(hub, 'exit')
  await ready(`http://${listen}/readyz`, exited).catch((err) => {
    hub.kill('SIGKILL')
    throw new Error(`${err.message}; the hub said:\n${log}`)
  })
  return {
    listen,
    url: settings.LOGINHUB_PUBLIC_URL,
    async stop() {
      hub.kill('SIGKILL') // its draining is not what these tests are about
      await exited
      rmSync(dir, { recursive: true, force: true })
    },
  }
}

async function ready(url, exited) {
  let gone = false
  exited.then(() => { gone = true })
  for (const start = Date.now(); Date.now() - start < 20000 && !gone; await pause(20)) {
    if (await fetch(url).then((answer) => answer.ok, () => false)) return
  }
  throw new Error(gone ? 'the hub ended at once' : 'the hub is not ready')
}
