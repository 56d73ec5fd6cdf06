import { notFromHub, isView, request, ticketPath } from './ticket.js'

export const POLL_WAIT = 25 // seconds

/**
 * The long poll, with the interface of the socket. The view is null if nothing changed during the
 * wait; the reason for the end is a Problem. The first request waits for `wait` seconds.
 *
 * @type {import('./internal.js').OpenPoll}
 */
export function openPoll(env, ticket, on, wait) {
  const abort = new AbortController()
  const { signal } = abort
  const run = async () => {
    let after = 0, empty = 0, state
    while (!signal.aborted) {
      const startedAt = env.clock.now()
      const view = await request(env, ticketPath(ticket, `poll?after=${after}&wait=${wait}`),
        { secret: ticket.secret, timeout: (wait + 10) * 1000, signal })
      if (signal.aborted) return
      const early = env.clock.now() - startedAt < 9000
      // A draining node answers early and empty once; a proxy does so each time.
      empty = early && !view ? empty + 1 : 0
      if (empty > 1 || (view && !isView(view, ticket))) throw notFromHub()
      if (!empty) on.view(view)
      const changed = view?.seq > after
      if (view) ({ seq: after, state } = view)
      else if (state !== 'pending') after = 0 // after a failover of Redis the hub may use this seq again
      wait = state === 'scanned' ? 10 : POLL_WAIT
      if (early && !changed) await new Promise((done) => env.clock.setTimeout(() => done(0), env.random() * 2000))
    }
  }
  run().catch((problem) => signal.aborted || on.end(problem))
  return { close: () => abort.abort() }
}
