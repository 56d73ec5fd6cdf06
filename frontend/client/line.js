/** @import * as T from './types.js' */
import { openPoll } from './poll.js'
import { openSocket } from './socket.js'
import { Problem } from './ticket.js'

const PATIENCE = 2500 // a socket silent for longer counts as blocked, not as slow
const MEMORY = 'loginhub.sockets'

/** Keeps one ticket connected over whichever transport speaks. */
export class Line {
  /** @type {T.Transport=} */
  #socket
  /** @type {T.Transport=} */
  #poll
  #env; #ticket; #on; #noSocket
  #timer = 0; #notBefore = 0; #fails = 0; #heardAt = 0
  #spoken = false // a socket has brought a view

  /**
   * @param {T.Env} env
   * @param {T.Ticket} ticket
   * @param {T.LineEvents} on
   */
  constructor(env, ticket, on) {
    this.#env = env
    this.#ticket = ticket
    this.#on = on
    this.#noSocket = Boolean(memory(env, (storage) => storage.getItem(MEMORY)))
    this.#open()
  }

  /**
   * Acknowledges over what is connected; rejects when the hub could not be told.
   *
   * @param {number} seq
   */
  async ack(seq) {
    await (this.#socket ?? this.#poll)?.ack(seq)
  }

  /** Lets go of the hub; `wake` comes back. */
  close() {
    this.#env.clock.clearTimeout(this.#timer)
    this.#socket?.close()
    this.#poll?.close()
    this.#socket = this.#poll = undefined
  }

  /** Connects at once, unless something was heard lately and not `anew`. */
  wake(anew = false) {
    const now = this.#env.clock.now()
    const alive = (this.#socket || this.#poll) && now - this.#heardAt < 25000
    if (now < this.#notBefore || (alive && !anew)) return
    this.close()
    this.#open()
  }

  #open() {
    if (this.#noSocket) return this.#openPoll()
    this.#timer = this.#env.clock.setTimeout(() => this.#openPoll(), PATIENCE)
    this.#socket = openSocket(this.#env, this.#ticket, {
      view: (view) => {
        this.#spoken = true
        this.#env.clock.clearTimeout(this.#timer)
        this.#poll?.close()
        this.#poll = undefined
        this.#heard(view)
      },
      down: (code) => this.#socketDown(code),
    })
  }

  #openPoll() {
    this.#poll = openPoll(this.#env, this.#ticket, {
      view: (view) => {
        // Only this proves that the network breaks sockets.
        if (!this.#spoken) memory(this.#env, (storage) => storage.setItem(MEMORY, 'blocked'))
        this.#noSocket ||= !this.#spoken
        this.#socket?.close()
        this.#socket = undefined
        this.#heard(view)
      },
      down: (problem) => this.#pollDown(problem),
    })
  }

  /** @param {T.View?} view */
  #heard(view) {
    this.#fails = 0
    this.#heardAt = this.#env.clock.now()
    this.#on.live(true)
    if (view?.state) this.#on.view(view)
  }

  /** @param {number} code */
  #socketDown(code) {
    this.#socket = undefined
    const going = code === 1012 || code === 1013
    this.#noSocket ||= !going && ![1001, 1005, 1006, 1014].includes(code)
    if (this.#poll) return
    this.#env.clock.clearTimeout(this.#timer)
    if (code === 4001) return this.#on.fail(new Problem('replaced'))
    // A refused socket cannot tell why; the poll can.
    if (this.#noSocket || !this.#spoken || this.#fails) return this.#openPoll()
    this.#later(going ? this.#env.random() * 2000 : backoff(this.#env, 0))
  }

  /** @param {T.Problem} problem */
  #pollDown(problem) {
    if (problem.status === 404 || problem.status === 410) return this.#on.gone()
    if (!problem.passing) return this.#on.fail(problem)
    this.close()
    const asked = (problem.retryAfter ?? 0) * 1000
    this.#notBefore = this.#env.clock.now() + asked
    this.#later(asked + backoff(this.#env, this.#fails))
  }

  /** @param {number} delay */
  #later(delay) {
    this.#fails++
    this.#on.live(false)
    this.#timer = this.#env.clock.setTimeout(() => this.#open(), delay)
  }
}

/**
 * Full jitter: no crowd stays in step.
 *
 * @type {T.Backoff}
 */
export function backoff(env, fails) {
  return env.random() * Math.min(20000, 1000 * 2 ** fails)
}

/**
 * Where storage is forbidden, each login finds out.
 *
 * @type {T.Memory}
 */
function memory(env, use) {
  try {
    return use(env.storage())
  } catch { /* the same as no memory */ }
}
