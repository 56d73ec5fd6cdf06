import { fill } from './i18n.js'
import { showUser } from './user.js'

const $ = (id) => document.getElementById(id)

/** Shows the token's user, and how far this browser could verify the token. */
export function showResult({ result, reason, header, claims }, user, messages) {
  // A name from the provider has priority over one that the phone claims.
  const verifiedName = claims.nickname
  const name = verifiedName ?? claims.claimed?.nickname ?? user?.nickname ?? claims.sub ?? messages.someone
  $('login').dataset.result = result
  showUser($('who'), { nickname: name }, messages.someone)
  $('welcome').textContent = fill(messages.done, { name })
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
  return result === 'unverified' ? messages.unverifiedHint : ''
}

function cell(tag, text, claim) {
  const element = document.createElement(tag)
  element.textContent = text
  if (claim) element.dataset.claim = claim
  return element
}

function time(seconds) {
  const language = document.documentElement.lang
  return seconds && new Date(seconds * 1000).toLocaleString(language, { dateStyle: 'medium', timeStyle: 'medium' })
}
