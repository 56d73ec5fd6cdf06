import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { cpSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'
import { freePort, startNode } from './hub.js'
import { install } from './install.js'

const run = promisify(execFile)
const here = fileURLToPath(new URL('.', import.meta.url))
const client = join(here, '../client')
const tsc = join(here, 'node_modules/typescript/bin/tsc')
// typescript 7 has no interface for vue-tsc.
const vueTsc = ['-e', `require('${here}node_modules/vue-tsc').run('${here}node_modules/typescript-5/lib/tsc.js')`, '--', 'tsc']

let hub, dir, locked
before(async () => {
  const port = await freePort()
  hub = await startNode(port, { LOGINHUB_PUBLIC_URL: `http://127.0.0.1:${port}` })
  ;({ dir, locked } = install(hub.url))
})
after(() => hub.stop())

test('package: npm locks what /docs shows', async () => {
  const docs = (await (await fetch(`${hub.url}/docs`)).text()).replaceAll('&#43;', '+')
  assert.match(locked.version, /^\d+\.\d+\.\d+/)
  for (const text of [`npm install ${locked.resolved}`, `<code>${locked.integrity}</code>`, `<code>${locked.version}</code>`]) {
    assert.ok(docs.includes(text), `${text} is not in /docs`)
  }
  assert.equal(locked.dependencies, undefined)
})

test('package: README and modules, no tests', async () => {
  const files = readdirSync(join(dir, 'node_modules/loginhub-client'), { recursive: true })
  assert.deepEqual(files.filter((file) => /test|tsconfig|internal/.test(file)), [])
  assert.ok(files.includes('README.md'))
  await run(process.execPath, ['--input-type=module', '-e', `
    import { createLogin } from 'loginhub-client'
    import { LoginQR } from 'loginhub-client/login-qr.js'
    if (!createLogin || LoginQR.name !== 'LoginQR') throw new Error('not importable on a server')`], { cwd: dir })
})

// Every line after a @ts-expect-error must be refused.
const samples = {
  'site.ts': `
import { createLogin, type Options, type Problem, type Snapshot, type State, type View } from 'loginhub-client'
import { LoginQR } from 'loginhub-client/login-qr.js'
import * as login from '${client}/login.js'
import * as widget from '${client}/widget/login-qr.js'
login satisfies typeof import('loginhub-client')
widget satisfies Pick<typeof import('loginhub-client/login-qr.js'), 'LoginQR'>
const options: Options = {
  hub: 'https://login.example.com', clientId: 'demo', nonce: 'n',
  onState({ state, user, error }: Snapshot) {
    const known: State = state
    const problem: Problem | undefined = error
    console.log(known, user?.nickname, problem?.retryAfter)
    // @ts-expect-error
    if (state === 'done') throw problem
  },
  async onToken(token, view: View) { console.log(token.length, view.token_expires_in) },
}
const running = createLogin(options)
const left: number = running.remaining
running.stop()
// @ts-expect-error
running.renew()
// @ts-expect-error
createLogin({ clientID: 'x' })
new LoginQR().refresh()
const element = document.createElement('login-qr')
element.loginNonce = 'n'
element.addEventListener('login', ({ detail }) => detail.waitUntil(fetch('/session', { method: 'POST', body: detail.token })))
element.addEventListener('state', ({ detail }) => { const now: State = detail.state; console.log(now, left) })
element.addEventListener('error', function ({ detail }) { console.log(detail.code, this.snapshot.state) })
element.addEventListener('click', (event) => event.clientX)
// @ts-expect-error
element.addEventListener('login', ({ detail }) => detail.tokn)
document.querySelector('login-qr')?.cancel()
`,
  'site.tsx': `
import { useEffect, useRef } from 'react'
import { type LoginQR } from 'loginhub-client/login-qr.js'
import { useLogin } from 'loginhub-client/react'
export function Widget({ nonce }: { nonce: string }) {
  const ref = useRef<LoginQR>(null)
  useEffect(() => ref.current?.addEventListener('login', ({ detail }) => detail.waitUntil(fetch('/session'))))
  return <login-qr ref={ref} client="demo" login-nonce={nonce} theme="dark" class="wide" style={{ margin: 8 }}
    onlogin={({ detail }) => detail.waitUntil(Promise.resolve(detail.token))} onerror={({ detail }) => detail.retryAfter}>
    <b slot="title">Site</b>
  </login-qr>
}
// @ts-expect-error
export const blue = <login-qr theme="blue" />
export const misspelt = <login-qr
  // @ts-expect-error
  onlogin={({ detail }) => detail.tokn} />
export function Hook({ nonce }: { nonce: string }) {
  const { snapshot, remaining, refresh } = useLogin({ clientId: 'demo', nonce, onToken: (token) => fetch('/session', { method: 'POST', body: token }) })
  const left: number = remaining
  return <button onClick={refresh}>{snapshot.user?.nickname} {left}</button>
}
`,
  'Site.vue': `
<script setup lang="ts">
import 'loginhub-client/login-qr.js'
import { useLogin } from 'loginhub-client/vue'
const props = defineProps<{ nonce: string }>()
const { snapshot, remaining, refresh } = useLogin(() => ({ clientId: 'demo', nonce: props.nonce, onToken: (token) => accept(token) }))
const left: number = remaining.value
const accept = (token: string) => fetch("/session", { method: "POST", body: token })
// @ts-expect-error
useLogin({ clientID: 'x' })
</script>
<template>
  <login-qr client="demo" :login-nonce="nonce" theme="dark" class="wide" @login="({ detail }) => detail.waitUntil(accept(detail.token))" @state="({ detail }) => detail.user?.nickname" />
  <!-- @vue-expect-error -->
  <login-qr theme="blue" />
  <!-- @vue-expect-error -->
  <login-qr @login="({ detail }) => detail.tokn" />
  <img :src="snapshot.qrImage"> {{ snapshot.state }} {{ left }} <button @click="refresh" />
</template>
`,
}
const strict = { noEmit: true, strict: true, exactOptionalPropertyTypes: true, target: 'es2022', module: 'preserve', allowJs: true, maxNodeModuleJsDepth: 0, jsx: 'react-jsx', types: [], lib: ['es2022', 'dom', 'dom.iterable'] }
for (const [name, { file, as, command, quick }] of Object.entries({
  'plain DOM': { file: 'site.ts', command: [tsc] },
  'React 19': { file: 'site.tsx', as: { '@types/react': '@types/react' }, command: [tsc] },
  'React 18': { file: 'site.tsx', as: { '@types/react': 'types-react-18' }, command: [tsc] },
  Vue: { file: 'Site.vue', as: { vue: 'vue' }, command: vueTsc, quick: { skipLibCheck: true } }, // ours are checked below
})) {
  test(`package: strict types, ${name}`, async () => {
    const project = join(dir, name.replace(' ', '-'))
    mkdirSync(join(project, 'node_modules/@types'), { recursive: true })
    cpSync(join(dir, 'node_modules/loginhub-client'), join(project, 'node_modules/loginhub-client'), { recursive: true })
    for (const [to, from] of Object.entries(as ?? {})) symlinkSync(join(here, 'node_modules', from), join(project, 'node_modules', to))
    writeFileSync(join(project, file), samples[file])
    writeFileSync(join(project, 'tsconfig.json'), JSON.stringify({ compilerOptions: { ...strict, ...quick }, files: [file], vueCompilerOptions: { strictTemplates: true } }))
    await run(process.execPath, [...command, '-p', project]).catch(({ stdout, stderr }) => assert.fail(stdout + stderr))
  })
}

test('package: the modules are strict TypeScript', async () => {
  await run(process.execPath, [tsc, '-p', client]).catch(({ stdout }) => assert.fail(stdout))
})

test('package: minified below 5.5 kB gzipped', async () => {
  const { outputFiles: [bundle] } = await build({ entryPoints: [join(client, 'login.js')], bundle: true, minify: true, format: 'esm', write: false })
  assert.ok(gzipSync(bundle.contents, { level: 9 }).length < 5500)
})
