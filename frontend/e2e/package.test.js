import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'
import { tempDir } from './hub.js'

const here = fileURLToPath(new URL('.', import.meta.url))
const client = join(here, '../client')
const tsc = join(here, 'node_modules/typescript/bin/tsc')

/** Packs the client and installs it as a dependency. Returns the project's directory and the packed files. */
function install() {
  const dir = tempDir('package')
  const packed = execFileSync('npm', ['pack', '--json', '--pack-destination', dir], { cwd: client, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
  const [{ filename, files }] = Object.values(JSON.parse(packed.slice(packed.search(/^[[{]/m))))
  const home = join(dir, 'node_modules/loginhub-client')
  mkdirSync(home, { recursive: true })
  execFileSync('tar', ['-xzf', join(dir, filename), '-C', home, '--strip-components=1'])
  return { dir, files: files.map((file) => file.path) }
}

const { dir, files } = install()

test('package: modules, types and README, no tests', () => {
  for (const file of ['login.js', 'widget/login-qr.js', 'types/login.d.ts', 'types/widget/login-qr.d.ts', 'types/types.d.ts', 'README.md']) {
    assert.ok(files.includes(file), `${file} is missing from ${files}`)
  }
  assert.deepEqual(files.filter((file) => /test|tsconfig/.test(file)), [])
  const { dependencies } = JSON.parse(readFileSync(join(client, 'package.json'), 'utf8'))
  assert.equal(dependencies, undefined)
})

const program = `
import { createLogin, type Problem } from 'loginhub-client'
import { LoginQR } from 'loginhub-client/login-qr.js'
const login = createLogin({
  hub: 'https://login.example.com', clientId: 'demo', nonce: 'n',
  onState({ state, user, error }) {
    const known: 'making' | 'pending' | 'scanned' | 'confirmed' | 'consumed' | 'rejected' | 'expired' | 'error' = state
    const problem: Problem | undefined = error
    console.log(known, user?.nickname, problem?.retryAfter)
  },
  async onToken(token, view) { console.log(token.length, view.token_expires_in) },
})
const left: number = login.remaining
new LoginQR().refresh()
login.stop()
`

function compile(text) {
  writeFileSync(join(dir, 'site.ts'), text)
  const options = ['--noEmit', '--strict', '--target', 'es2022', '--module', 'nodenext', '--types', '', '--lib', 'es2022,dom,dom.iterable']
  return execFileSync(process.execPath, [tsc, ...options, 'site.ts'], { cwd: dir, encoding: 'utf8' })
}

test('package: a strict TypeScript program compiles', () => {
  writeFileSync(join(dir, 'package.json'), '{"type":"module"}')
  try {
    compile(program)
  } catch (err) {
    assert.fail(err.stdout)
  }
  for (const wrong of ["createLogin({ clientID: 'x' })", 'createLogin({}).renew()', "createLogin({ onState: (s) => s.state === 'done' })"]) {
    assert.throws(() => compile(program + wrong), wrong)
  }
})

test('package: the modules are strict TypeScript', () => {
  try {
    execFileSync(process.execPath, [tsc, '-p', client, '--noEmit'], { encoding: 'utf8' })
  } catch (err) {
    assert.fail(err.stdout)
  }
})

test('package: importable on a server', async () => {
  const { LoginQR } = await import(join(dir, 'node_modules/loginhub-client/widget/login-qr.js'))
  assert.equal(LoginQR.name, 'LoginQR')
})

test('package: minified below 5 kB gzipped', async () => {
  const { outputFiles: [bundle] } = await build({ entryPoints: [join(client, 'login.js')], bundle: true, minify: true, format: 'esm', write: false })
  assert.ok(gzipSync(bundle.contents, { level: 9 }).length < 5000)
})
