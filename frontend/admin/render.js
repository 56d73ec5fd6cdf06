/** Replaces the placeholders of a text, such as `{site}`. */
export const makeFill = (text, values) => text.replace(/\{(\w+)\}/g, (_, key) => values[key] ?? '')

const SILENT = 15 // seconds without a status: three were missed
const $ = (id) => document.getElementById(id)
const shown = {} // what each table shows, as JSON: unchanged tables keep focus and selection

// Returns an element. Strings become text, never HTML.
function make(tag, className, ...content) {
  const element = document.createElement(tag)
  if (className) element.className = className
  element.append(...content)
  return element
}

// Shows a table's rows, if they have changed. A row is a list of cells: texts or `{ text, className }`.
function table(id, heads, rows, toCell = cell) {
  const now = JSON.stringify([heads, rows])
  if (shown[id] === now) return
  shown[id] = now
  const body = $(id)
  body.previousElementSibling.replaceChildren(make('tr', '', ...heads.map((head) => make(head ? 'th' : 'td', '', head))))
  body.replaceChildren(...rows.map((row) => make('tr', '', ...row.map((value, i) => toCell(value, i, heads)))))
}

const cell = (value) => make('td', value?.className, String(value?.text ?? value ?? ''))

function runningFor(t, seconds) {
  const [m, h, d] = [Math.floor(seconds / 60) % 60, Math.floor(seconds / 3600), Math.floor(seconds / 86400)]
  return d ? makeFill(t.days, { d, h: h % 24 }) : makeFill(t.hours, { h, m })
}

/** Shows a status. `change(sites, enabled)` is called by the buttons of the sites. */
export function render(status, { t, language, history, change }) {
  const number = (n) => n.toLocaleString(language)
  const sum = (of) => status.nodes.reduce((total, node) => total + of(node), 0)
  const logins = history.at(-1) ?? 0
  $('waiting').textContent = number(sum((node) => node.sockets + node.polls))
  $('limit').textContent = makeFill(t.limit, { max: number(sum((node) => node.max)) })
  $('logins').textContent = number(logins)
  drawLine(history, makeFill(t.history, { now: number(logins) }))
  $('ready').textContent = `${status.nodes.filter((node) => node.state === 'ready' && node.age < SILENT).length} / ${status.nodes.length}`
  $('version').textContent = status.version

  const now = new Date(status.time) / 1000
  table('nodes', t.heads.nodes, status.nodes.map((node) => [
    node.id.slice(0, 8) + (node.self ? t.self : ''), stateOf(node, t), `${number(node.sockets + node.polls)} / ${number(node.max)}`,
    number(node.logins), node.version, runningFor(t, Math.max(0, now - node.started)),
  ]))
  renderSites(status, t, change)
  const time = (at) => new Date(at).toLocaleString(language)
  $('refused-part').hidden = $('config-part').hidden = status.access !== 'operator'
  table('refused', t.heads.refused, (status.refused ?? []).map((call) => [
    time(call.time), `${call.method} ${call.route}`, `${call.status} ${call.code}`, call.client, call.address, call.times, call.request_id]))
  table('config', t.heads.config, (status.config ?? []).map(({ key, value, source }) => [key, value, source]))
}

function stateOf(node, t) {
  if (node.age >= SILENT) return { text: makeFill(t.states.silent, { age: node.age }), className: 'bad' }
  const text = t.states[node.state] ?? node.state
  return { text: node.reason ? `${text}: ${node.reason}` : text, className: node.state === 'ready' ? 'good' : 'bad' }
}

/** Returns a site's name in the page's language. */
export const siteName = (site) => (document.documentElement.lang.startsWith('zh') ? site.label_zh : site.label)

function renderSites(status, t, change) {
  const operator = status.access === 'operator'
  $('locked').hidden = operator
  $('locked').textContent = status.access === 'closed' ? t.closed : t.readOnly
  $('every').hidden = status.clients.filter((site) => site.enabled).length < 2
  $('all').disabled = !operator
  const rows = status.clients.map((site) => [
    siteName(site), site.id, site.unreadable ? { text: t.unreadable, className: 'bad' } : { text: site.enabled ? t.on : t.off, className: site.enabled ? 'good' : 'bad' },
    { site, operator },
  ])
  table('sites', t.heads.sites, rows, (value, i) => {
    if (i < 3) return cell(value)
    const { site } = value
    const action = site.enabled ? t.switchOff : t.switchOn
    const button = make('button', 'quiet', action)
    button.type = 'button'
    button.disabled = !operator
    button.setAttribute('aria-label', makeFill(t.of, { action, site: siteName(site) }))
    if (!operator) button.setAttribute('aria-describedby', 'locked')
    button.addEventListener('click', () => change([site], !site.enabled))
    return make('td', '', button)
  })
}

// Draws the history into 120 by 24 units, the newest at the right.
function drawLine(history, label) {
  const most = Math.max(1, ...history)
  const points = history.map((n, i) => `${121 - history.length + i},${(23 - 22 * n / most).toFixed(1)}`)
  $('line').firstElementChild.setAttribute('points', points.join(' '))
  $('line').setAttribute('aria-label', label)
}
