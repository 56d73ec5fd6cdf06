import { execFileSync, spawn } from 'node:child_process'
import { randomBytes, randomInt } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { chmodSync, copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

export const root = fileURLToPath(new URL('../../', import.meta.url))

/** A small GeoIP database: 203.0.113.7 is in Shanghai, 198.51.100.9 in Berlin, 192.0.2.9 unknown. */
export const PLACES = join(root, 'api/geoip/testdata/city.mmdb')

/** Creates a directory that is deleted when the process exits. */
export function tempDir(name) {
  const dir = mkdtempSync(join(tmpdir(), `loginhub-${name}-`))
  process.on('exit', () => rmSync(dir, { recursive: true, force: true }))
  return dir
}

/** Builds a Go program of this repository, with the current frontend. Returns its path. */
export function build(pkg) {
  if (pkg === './cmd/loginhub') execFileSync('go', ['generate', './frontend'], { cwd: root, stdio: 'inherit' })
  const path = join(tempDir('build'), 'program')
  execFileSync('go', ['build', '-o', path, pkg], { cwd: root, stdio: 'inherit' })
  return path
}

const binaries = {}

/** Returns the binary that an environment variable names, or builds it once. */
export function binary(variable, pkg) {
  return process.env[variable] || (binaries[pkg] ??= build(pkg))
}

/**
 * Returns a port that is free, below the range that Linux uses for outgoing connections. The UDP port
 * of the same number reserves it for this process, as in hubtest.FreePort.
 */
export async function freePort() {
  for (;;) {
    const port = 11000 + randomInt(21000) // browsers and fetch refuse some ports up to 10080
    const sign = createSocket('udp4').unref()
    const server = createServer()
    try {
      sign.bind(port, '127.0.0.1')
      await once(sign, 'listening')
      server.listen(port, '127.0.0.1')
      await once(server, 'listening')
      server.close()
      await once(server, 'close')
      return port
    } catch {
      sign.close()
    }
  }
}

/** Calls `done()` every few milliseconds until it returns true. Throws after `timeout` milliseconds. */
export async function waitFor(done, timeout = 90000) {
  for (const startedAt = Date.now(); !await done(); await pause(20)) {
    if (Date.now() - startedAt > timeout) throw new Error(`timeout waiting for ${done}`)
  }
}

/**
 * Starts a program and waits until `ready()` returns true. Returns `stop()`, which kills it, and
 * `end()`, which ends its input, waits, and throws its output if its exit code is not 0.
 */
export async function start(command, args, { env, ready }) {
  const child = spawn(command, args, { env })
  let log = ''
  let exited = false
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => { log += text })
  const exit = once(child, 'exit').then(() => { exited = true })
  const closed = once(child, 'close')
  for (const startedAt = Date.now(); !await ready(log); await pause(20)) {
    if (!exited && Date.now() - startedAt < 90000) continue
    child.kill('SIGKILL')
    throw new Error(`${command} ${exited ? 'ended at once' : 'is not ready'}:\n${log}`)
  }
  return {
    async stop(signal = 'SIGKILL') { // draining is tested elsewhere
      child.kill(signal)
      await exit
    },
    async end() {
      child.stdin.end()
      const [code] = await closed
      if (code !== 0) throw new Error(log)
    },
  }
}

const isOK = (url) => () => fetch(url).then((answer) => answer.ok, () => false)

const isListening = (port) => () => new Promise((done) => {
  const socket = connect(port, '127.0.0.1', () => done(true) || socket.destroy())
  socket.on('error', () => done(false))
})

/** Starts a node with LOGINHUB_ settings, without those of this process. */
export async function startNode(port, settings) {
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith('LOGINHUB_'))
  const listen = `127.0.0.1:${port}`
  const node = await start(binary('LOGINHUB_BIN', './cmd/loginhub'), [], {
    env: { ...Object.fromEntries(inherited), LOGINHUB_LISTEN: listen, LOGINHUB_ADMIN_LISTEN: '', ...settings },
    ready: isOK(`http://${listen}/readyz`),
  })
  return { ...node, listen, url: `http://${listen}` }
}

/**
 * Starts Redis and nginx as shipped, nodes with the sandbox, and in front of nginx a proxy that checks
 * every answer against the OpenAPI document: `stop()` throws what does not match. `publicURL` is the
 * URL for browsers, by default on `host`. `clients` is the text of a clients file; ORIGIN in it is
 * replaced by that URL. `nginx` edits nginx's configuration.
 */
export async function startHub({ publicURL, host = '127.0.0.1', env = {}, clients, nodes = 2, nginx } = {}) {
  const dir = tempDir('e2e')
  const [redisPort, front, behind, admin, ...ports] = await Promise.all(Array.from({ length: nodes + 4 }, freePort))
  const running = []
  let contract
  const stop = async () => {
    await Promise.all(running.reverse().map((program) => program.stop()))
    rmSync(dir, { recursive: true, force: true })
    await contract?.end()
  }
  const settings = {
    LOGINHUB_PUBLIC_URL: publicURL ?? `http://${host}:${front}`,
    LOGINHUB_KEYS: randomBytes(32).toString('base64url'),
    LOGINHUB_TRUSTED_PROXIES: '127.0.0.1/32',
    ...env,
  }
  if (clients) {
    settings.LOGINHUB_CLIENTS = join(dir, 'clients.yaml')
    writeFileSync(settings.LOGINHUB_CLIENTS, clients.replaceAll('ORIGIN', settings.LOGINHUB_PUBLIC_URL))
  }
  try {
    running.push(await startRedis(dir, redisPort))
    settings.LOGINHUB_REDIS_URL ??= readFileSync(join(dir, 'redis-url'), 'utf8').trim().replace('redis:6379', `127.0.0.1:${redisPort}`)
    // Only one node has an admin address: the others must follow its kill switch.
    const started = ports.map((port, i) => nodeAt(port, i ? settings : { LOGINHUB_ADMIN_LISTEN: `127.0.0.1:${admin}`, ...settings }))
    running.push(...started)
    await Promise.all(started.map((node) => node.start()))
    running.push(await startNginx(dir, behind, ports, nginx))
    contract = await start(binary('CONTRACT_BIN', './api/apitest/contract'), [join(root, 'api/openapi.yaml'), `127.0.0.1:${front}`, `http://127.0.0.1:${behind}`], { ready: isListening(front) })
    return { listen: `127.0.0.1:${front}`, url: settings.LOGINHUB_PUBLIC_URL, admin: `http://127.0.0.1:${admin}`, nodes: started, stop }
  } catch (err) {
    await stop()
    throw err
  }
}

// Starts Redis as shipped, with users and passwords from secrets.sh. It gets a copy of the
// configuration, because it may rewrite it.
async function startRedis(dir, port) {
  execFileSync(join(root, 'deploy/docker/secrets.sh'), [dir])
  const file = join(dir, 'redis.conf')
  copyFileSync(join(root, 'deploy/redis/redis.conf'), file)
  return start('redis-server', [file, '--aclfile', join(dir, 'users.acl'), '--port', port, '--bind', '127.0.0.1', '--dir', dir], { ready: isListening(port) })
}

// Returns a node that can be stopped and started again.
function nodeAt(port, settings) {
  let node
  return {
    async start() {
      node = await startNode(port, settings)
    },
    stop: async () => node?.stop(),
  }
}

// Starts nginx as shipped, with this test's listener and nodes.
async function startNginx(dir, front, ports, edit = (text) => text) {
  const shipped = readFileSync(join(root, 'deploy/nginx/loginhub.conf'), 'utf8')
  const text = edit(shipped
    .replace(/^ {4}server hub1:8080 (.*;)\n/gm, (_, parameters) => ports.map((port) => `    server 127.0.0.1:${port} ${parameters}\n`).join(''))
    .replace(/^ {4}server hub\d+:8080 .*;\n/gm, '')
    .replace('listen 8080;', `listen 127.0.0.1:${front};`))
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${name};\n`)
  const file = join(dir, 'nginx.conf')
  writeFileSync(file, `daemon off; worker_processes 1; pid nginx.pid; error_log stderr warn;
events { worker_connections 1024; }
http { access_log off; ${temporary.join('')}${text} }`)
  chmodSync(dir, 0o755) // the workers run as another user
  const nginx = await start('nginx', ['-p', dir, '-c', file, '-e', 'stderr'], { ready: isOK(`http://127.0.0.1:${front}/healthz`) })
  return { stop: () => nginx.stop('SIGTERM') } // SIGTERM, so that the master stops its workers too
}
