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
    let after = 0, state
    while (!signal.aborted) {
      const began = env.clock.now()
      const wait = state === 'scanned' ? 10 : WAIT
      const view = await request(env, ticketPath(ticket, `poll?after=${after}&wait=${wait}`),
        { secret: ticket.secret, timeout: (wait + 10) * 1000, signal })
      if (signal.aborted) return
      on.view(view)
      const news = view?.seq > after
      if (view?.seq) ({ seq: after, state } = view)
      else if (state === 'scanned') after = 0 // its seq is given anew where it was lost
      // A draining node, and all of its pages come back now.
      if (!news && env.clock.now() - began < 9000) {
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
