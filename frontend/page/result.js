import { appName } from '../client/widget/apps.js'
import { fill, formatDate } from './i18n.js'
import { showUser } from './user.js'

const $ = (id) => document.getElementById(id)

/** Shows the token's user, and how far this browser could verify the token. */
export function showResult({ result, reason, header, claims, picture }, { user, site, messages }) {
  // A name from the provider has priority over one that the phone claims.
  const verifiedName = claims.nickname
  const name = verifiedName ?? claims.claimed?.nickname ?? user?.nickname ?? claims.sub ?? messages.someone
  $('login').dataset.result = result
  showUser($('who'), { nickname: name }, messages.someone, result === 'failed' ? '' : picture)
  $('welcome').textContent = result === 'failed' ? messages.failed : fill(messages.loggedInAs, { name })
  const app = claims.amr?.map?.((kind) => appName(kind, messages)).find(Boolean)
  $('facts').textContent = [site, app && fill(messages.withApp, { app }), time(claims.auth_time, { timeStyle: 'short' })].filter(Boolean).map((fact) => `\u2068${fact}\u2069`).join(' · ')
  $('facts').hidden = $('next').hidden = result === 'failed'
  $('next').textContent = messages.demo
  if (result === 'failed') $('details').open = true
  $('badge').textContent = messages[result]
  $('badge-hint').textContent = hint(result, reason, messages)
  const rows = [
    ['sub', claims.sub],
    ['name', verifiedName ?? (claims.claimed?.nickname && `${claims.claimed.nickname} (${messages.nameClaimed})`)],
    ['aud', claims.aud],
    ['iss', claims.iss],
    ['amr', claims.amr?.join?.(', ')],
    ['auth_time', time(claims.auth_time)],
    ['exp', time(claims.exp)],
  ]
  $('claims').replaceChildren(...rows.filter(([, value]) => value).flatMap(([key, value]) => [
    cell('dt', messages.claims[key]), cell('dd', value, key),
  ]))
  $('raw').textContent = JSON.stringify({ header, claims }, null, 2)
}

function hint(result, reason, messages) {
  if (result === 'failed') return fill(messages.failedHint, { reason: messages.reasons[reason] ?? reason })
  if (result === 'unverified') return reason === 'code' ? messages.codeHint : messages.unverifiedHint
  return ''
}

function cell(tag, text, claim) {
  const element = document.createElement(tag)
  element.textContent = text
  if (claim) element.dataset.claim = claim
  return element
}

function time(seconds, style = { dateStyle: 'medium', timeStyle: 'medium' }) {
  return seconds && formatDate(new Date(seconds * 1000), style)
}
