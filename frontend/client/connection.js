/** @import * as T from './types.js' */
import { backoff, moment, since } from './elapsed.js'
import { openPoll, WAIT } from './poll.js'
import { openSocket } from './socket.js'
import { ackTicket, Problem } from './ticket.js'

const SOCKET_TIMEOUT = 2500 // a socket that is silent for longer gets a poll beside it
const SOCKET_TRUST = 25000 // the hub repeats the view every 20 s
const SOCKET_RETRY = 120000 // a network that blocks sockets may be left
const CHECK_TIMEOUT = 1000 // a check that takes longer counts as failed
const CHECK_STEP = 250
const CHECK_STEPS = 6 // as many connections as a browser keeps to one host
const MOST_POLLS = 4
const LONGEST_PAUSE = 10000
const CLOCK_CHECK = 1000
const CLOCK_JUMP = 3000
const STORAGE_KEY = 'loginhub.sockets'

/** Keeps one ticket connected over whichever transport delivers. */
export class Connection {
  /** @type {T.Socket=} */
  #socket
  /** @type {T.Transport[]} more than one while none has been answered */
  #polls = []
  /** @type {'connecting' | 'asking' | 'waiting' | 'settled'} waiting: for the next try */
  #phase = 'settled'
  #env; #ticket; #on; #askedAt; #socketAt; #refusedAt
  #timer = 0; #clockTimer = 0; #pause = 0; #fails = 0
  #fresh = false // the socket was opened after the last wake
  #spoke = false // the socket has brought a view
  #works = false // some socket has
  #bySocket = false // the last view came over the socket
  #avoid = false // the socket was closed for a reason that a new one would meet too
  #blocked // sockets failed in this session where polls did not

  /**
   * @param {T.Env} env
   * @param {T.Ticket} ticket
   * @param {T.ConnectionEvents} on
   */
  constructor(env, ticket, on) {
    this.#env = env
    this.#ticket = ticket
    this.#on = on
    this.#askedAt = this.#socketAt = this.#refusedAt = moment(env)
    this.#blocked = Boolean(stored(env, (storage) => storage.getItem(STORAGE_KEY)))
    this.#open()
    this.#checkClocks()
  }

  /**
   * Acknowledges over what brought the last view; rejects if the hub was not told.
   *
   * @param {number} seq
   */
  async ack(seq) {
    if (!this.#bySocket || !this.#socket?.ack(seq)) await ackTicket(this.#env, this.#ticket, seq)
  }

  /** Disconnects; `wake` connects again. */
  close() {
    this.#env.clock.clearTimeout(this.#timer)
    this.#env.clock.clearTimeout(this.#clockTimer)
    this.#socket?.close()
    this.#socket = undefined
    this.#closePolls()
    this.#phase = 'settled'
  }

  /**
   * Asks the hub at once by a short poll beside the socket, which may be dead without a sign.
   * `stale`: what was asked before may be lost. `anew`: so is the socket.
   */
  wake({ anew = false, stale = false } = {}) {
    const env = this.#env
    if (since(env, this.#refusedAt) < this.#pause) return
    const asking = this.#phase === 'asking' || this.#phase === 'connecting'
    if (asking && !stale && since(env, this.#askedAt) < CHECK_TIMEOUT) return
    const lost = this.#socket ? since(env, this.#socketAt) > SOCKET_TRUST : !this.#polls.length
    this.#fails = 0
    this.#fresh = false
    if (anew || lost) this.#openSocket()
    this.#ask(CHECK_STEP, 0)
    this.#checkClocks()
  }

  #open() {
    const kept = this.#socket
    if (!kept && !this.#avoid) this.#openSocket()
    if (kept || this.#avoid || this.#blocked) return this.#ask(SOCKET_TIMEOUT, WAIT)
    this.#phase = 'connecting'
    this.#askedAt = moment(this.#env)
    this.#after(SOCKET_TIMEOUT, () => this.#ask(SOCKET_TIMEOUT, WAIT))
  }

  #openSocket() {
    this.#socket?.close()
    this.#fresh = true
    this.#spoke = this.#bySocket = false
    this.#socketAt = moment(this.#env)
    this.#socket = openSocket(this.#env, this.#ticket, {
      view: (view) => this.#socketView(view),
      down: (code) => this.#socketDown(code),
    })
  }

  /**
   * Asks by polls until one is answered. A browser keeps connections for reuse, and each request
   * hangs on one that died without a sign: another request takes another connection.
   *
   * @param {number} step milliseconds until the next poll
   * @param {number} wait
   */
  #ask(step, wait) {
    this.#closePolls()
    this.#phase = 'asking'
    this.#askedAt = moment(this.#env)
    this.#openPoll(step, wait, 1)
  }

  /**
   * @param {number} step
   * @param {number} wait
   * @param {number} tries
   */
  #openPoll(step, wait, tries) {
    const poll = openPoll(this.#env, this.#ticket, {
      view: (view) => {
        this.#closePolls(poll)
        this.#pollView(view)
      },
      down: (problem) => {
        this.#polls = this.#polls.filter((other) => other !== poll)
        if (!problem.foreign || !this.#polls.length) this.#pollDown(problem)
      },
    }, wait)
    this.#polls.push(poll)
    if (this.#polls.length > MOST_POLLS) this.#polls.shift()?.close()
    this.#after(step, () => {
      const failed = tries * step >= CHECK_TIMEOUT
      if (failed && !this.#fresh) this.#openSocket()
      this.#openPoll(tries < CHECK_STEPS ? step : Math.min(step * 2, LONGEST_PAUSE), wait, tries + 1)
      if (failed) this.#on.live(false)
    })
  }

  /** @param {T.Transport=} kept */
  #closePolls(kept) {
    for (const poll of this.#polls) if (poll !== kept) poll.close()
    this.#polls = kept ? [kept] : []
  }

  /** @param {T.View} view */
  #socketView(view) {
    this.#spoke = this.#works = this.#bySocket = true
    this.#avoid = false
    this.#socketAt = moment(this.#env)
    if (this.#blocked) this.#remember('')
    // What an old socket brings can have been on the way since before the wake: the check goes on.
    if (this.#fresh || this.#phase !== 'asking') {
      this.#closePolls()
      this.#settle()
    }
    this.#heard(view)
  }

  /** @param {T.View?} view */
  #pollView(view) {
    this.#bySocket = false
    if (!this.#works && !this.#blocked) this.#remember('blocked') // until a socket brings a view
    this.#settle()
    if (!this.#socket && since(this.#env, this.#socketAt) > SOCKET_RETRY) this.#openSocket()
    this.#heard(view)
  }

  /** @param {T.View?} view */
  #heard(view) {
    this.#fails = 0
    this.#on.live(true)
    if (view) this.#on.view(view)
  }

  /** @param {number} code */
  #socketDown(code) {
    this.#socket = undefined
    const restarting = code === 1012 || code === 1013
    this.#avoid ||= !restarting && ![1001, 1005, 1006, 1014].includes(code)
    if (this.#polls.length) return
    if (code === 4001) {
      this.close()
      return this.#on.fail(new Problem('replaced'))
    }
    if (this.#phase === 'waiting') return
    // A refused socket gives no reason; the poll does.
    if (this.#avoid || !this.#spoke || this.#fails) return this.#ask(SOCKET_TIMEOUT, WAIT)
    this.#later(restarting ? this.#env.random() * 2000 : backoff(this.#env, 0))
  }

  /** @param {T.Problem} problem */
  #pollDown(problem) {
    this.#closePolls()
    if (!problem.passing) {
      this.close()
      return [404, 410].includes(problem.status) ? this.#on.gone() : this.#on.fail(problem)
    }
    // A full node refuses the poll and keeps the socket. A socket that was opened since may yet speak.
    if (problem.foreign && !this.#fresh) {
      this.#socket?.close()
      this.#socket = undefined
    }
    this.#refusedAt = moment(this.#env)
    this.#pause = Math.min((problem.retryAfter ?? 0) * 1000, LONGEST_PAUSE)
    this.#later(Math.min(this.#pause + backoff(this.#env, this.#fails), LONGEST_PAUSE))
  }

  /** @param {number} delay */
  #later(delay) {
    this.#fails++
    this.#phase = 'waiting'
    this.#after(delay, () => this.#open())
    if (!this.#socket || !this.#spoke) this.#on.live(false)
  }

  #settle() {
    this.#env.clock.clearTimeout(this.#timer)
    this.#phase = 'settled'
  }

  /**
   * @param {number} ms
   * @param {() => void} run
   */
  #after(ms, run) {
    this.#env.clock.clearTimeout(this.#timer)
    this.#timer = this.#env.clock.setTimeout(run, ms)
  }

  /** A wall clock that went on alone shows that the machine slept, which no event says. */
  #checkClocks() {
    const env = this.#env
    const [monotonic, wall] = moment(env)
    env.clock.clearTimeout(this.#clockTimer)
    this.#clockTimer = env.clock.setTimeout(() => {
      const [now, wallNow] = moment(env)
      if (wallNow - wall - (now - monotonic) > CLOCK_JUMP) this.wake({ stale: true })
      this.#checkClocks()
    }, CLOCK_CHECK)
  }

  /** @param {string} value */
  #remember(value) {
    this.#blocked = Boolean(value)
    stored(this.#env, (storage) => storage.setItem(STORAGE_KEY, value))
  }
}

/**
 * If storage is forbidden, each page finds out by itself.
 *
 * @type {T.Stored}
 */
function stored(env, use) {
  try {
    return use(env.storage())
  } catch { /* as if nothing were stored */ }
}
