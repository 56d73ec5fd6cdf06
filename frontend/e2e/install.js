import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { tempDir } from './hub.js'

const projects = {}

/**
 * Installs the hub's client into an empty project, as its document says, without a registry. Returns
 * the project's directory and what npm's lockfile has of the package.
 */
export function install(hubURL) {
  return projects[hubURL] ??= installOnce(hubURL)
}

function installOnce(hubURL) {
  const dir = tempDir('site')
  writeFileSync(join(dir, 'package.json'), '{"type":"module"}')
  const options = ['--registry', 'http://127.0.0.1:9/', '--cache', join(dir, '.npm'), '--fetch-retries=0', '--no-audit', '--no-fund', '--no-update-notifier']
  execFileSync('npm', ['install', `${hubURL}/client.tgz`, ...options], { cwd: dir, stdio: ['ignore', 'ignore', 'inherit'], timeout: 300000 })
  const { packages } = JSON.parse(readFileSync(join(dir, 'package-lock.json'), 'utf8'))
  return { dir, locked: packages['node_modules/loginhub-client'] }
}
