import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { root, tempDir } from '../hub.js'

const modules = fileURLToPath(new URL('../node_modules', import.meta.url))

// Compiles the dashboard against Grafana's schema, which is TypeScript. A literal must not have a field
// that its type does not have, so the compiler finds a misspelt one. Enums are values in JSON.
function compileDashboard(dashboard) {
  const dir = tempDir('dashboard')
  symlinkSync(modules, join(dir, 'node_modules'))
  writeFileSync(join(dir, 'dashboard.mts'), `import type { Dashboard } from '@grafana/schema'
type Json<T> = T extends string ? \`\${T}\` : T extends object ? { [K in keyof T]: Json<T[K]> } : T
export const dashboard: Json<Dashboard> = ${dashboard}
`)
  writeFileSync(join(dir, 'tsconfig.json'), JSON.stringify({
    compilerOptions: { strict: true, noEmit: true, skipLibCheck: true, module: 'nodenext', moduleResolution: 'nodenext', types: [] },
    files: ['dashboard.mts'],
  }))
  const { status, stdout } = spawnSync(process.execPath, [join(modules, 'typescript/bin/tsc'), '-p', dir], { encoding: 'utf8' })
  return { status, stdout }
}

const dashboardJSON = readFileSync(join(root, 'deploy/grafana/loginhub.json'), 'utf8')

test("dashboard: matches Grafana's schema", () => {
  assert.deepEqual(compileDashboard(dashboardJSON), { status: 0, stdout: '' })
})

for (const [what, right, wrong] of [
  ['a misspelt field', '"gridPos"', '"gridPosition"'],
  ['a value that Grafana does not know', '"mode": "absolute"', '"mode": "abs"'],
  ['a number as text', '"graphTooltip": 1', '"graphTooltip": "1"'],
]) {
  test(`dashboard: the schema finds ${what}`, () => {
    assert.ok(dashboardJSON.includes(right))
    assert.match(compileDashboard(dashboardJSON.replace(right, wrong)).stdout, /error TS2(?!307)/) // 2307: the schema itself is missing
  })
}
