import { fill } from './i18n.js'
import { paintUser } from './user.js'

const $ = (id) => document.getElementById(id)

/** Shows who is in, by the token, and how far this browser could check that token. */
export function showResult({ result, reason, header, claims }, user, said) {
  // A provider's own names outrank what the phone says of itself.
  const vouched = claims.nickname
  const name = vouched ?? claims.claimed?.nickname ?? user?.nickname ?? claims.sub ?? said.someone
  $('login').dataset.result = result
  paintUser($('who'), { nickname: name }, said.someone)
  $('welcome').textContent = fill(said.done, { name })
  $('badge').textContent = said[result]
  $('badge-hint').textContent = hint(result, reason, said)
  const rows = [
    ['sub', claims.sub],
    ['name', vouched ?? (claims.claimed?.nickname && `${claims.claimed.nickname} (${said.nameClaimed})`)],
    ['aud', claims.aud],
    ['iss', claims.iss],
    ['amr', claims.amr?.join?.(', ')],
    ['auth_time', time(claims.auth_time)],
    ['exp', time(claims.exp)],
  ]
  $('claims').replaceChildren(...rows.filter(([, value]) => value).flatMap(([key, value]) => [
    cell('dt', said.claims[key]), cell('dd', value, key),
  ]))
  $('raw').textContent = JSON.stringify({ header, claims }, null, 2)
}

function hint(result, reason, said) {
  if (result === 'failed') return fill(said.failedHint, { reason: said.reasons[reason] ?? reason })
  return result === 'unverified' ? said.unverifiedHint : ''
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
