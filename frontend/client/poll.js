import { ackTicket, request, ticketPath } from './ticket.js'

const WAIT = 25

/**
 * The long poll in the shape of the socket; a 204 is the view null, its reason is the Problem.
 *
 * @type {import('./types.js').Open<import('./types.js').Problem>}
 */
export function openPoll(env, ticket, on) {
  const abort = new AbortController()
  const { signal } = abort
  const run = async () => {
    let after = 0, state // answered at once: this way works
    while (!signal.aborted) {
      const began = env.clock.now()
      const view = await request(env, ticketPath(ticket, `poll?after=${after}&wait=${WAIT}`),
        { secret: ticket.secret, timeout: (WAIT + 10) * 1000, signal })
      if (signal.aborted) return
      on.view(view)
      if (view && view.seq !== after) {
        ({ seq: after, state } = view)
        continue
      }
      if (state === 'scanned') after = 0 // Redis may lose a scan, and give its seq anew
      // Early: a draining node, whose pages all come back now.
      if (env.clock.now() - began < 9000) {
        await new Promise((done) => env.clock.setTimeout(() => done(0), env.random() * 2000))
      }
    }
  }
  run().catch((problem) => signal.aborted || on.down(problem))
  return {
    close: () => abort.abort(),
    ack: (seq) => ackTicket(env, ticket, seq),
  }
}
