import { randomUUID } from 'node:crypto'

/** Makes one call of a phone, without a page. Returns the hub's answer. */
export async function callAsPhone(hubURL, ticket, action, name, more) {
  const answer = await fetch(`${hubURL}/api/login/tickets/${ticket}/${action}`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ provider: 'sandbox', code: `sandbox:${name}:${randomUUID()}`, ...more }),
  })
  return { status: answer.status, ...await answer.json() }
}
