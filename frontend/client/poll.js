import { foreignAnswer, isView, request, ticketPath } from './ticket.js'

export const WAIT = 25 // seconds

/**
 * The long poll in the shape of the socket. The view is null after a wait without news; the reason
 * for an end is the Problem. The first request waits for `wait` seconds.
 *
 * @type {import('./types.js').OpenPoll}
 */
export function openPoll(env, ticket, on, wait) {
  const abort = new AbortController()
  const { signal } = abort
  const run = async () => {
    let after = 0, empty = 0, state
    while (!signal.aborted) {
      const began = env.clock.now()
      const view = await request(env, ticketPath(ticket, `poll?after=${after}&wait=${wait}`),
        { secret: ticket.secret, timeout: (wait + 10) * 1000, signal })
      if (signal.aborted) return
      const early = env.clock.now() - began < 9000
      // A node that drains answers early and empty, once; a proxy does so each time.
      empty = early && !view ? empty + 1 : 0
      if (empty > 1 || (view && !isView(view, ticket))) throw foreignAnswer()
      if (!empty) on.view(view)
      const news = view?.seq > after
      if (view) ({ seq: after, state } = view)
      else if (state !== 'pending') after = 0 // its seq can be given again after a failover
      wait = state === 'scanned' ? 10 : WAIT
      if (early && !news) await new Promise((done) => env.clock.setTimeout(() => done(0), env.random() * 2000))
    }
  }
  run().catch((problem) => signal.aborted || on.down(problem))
  return { close: () => abort.abort() }
}
