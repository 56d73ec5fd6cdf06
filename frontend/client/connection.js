/** @import * as T from './internal.js' */
import { backoff, elapsed, readClocks } from './elapsed.js'
import { openPoll, POLL_WAIT } from './poll.js'
import { openSocket } from './socket.js'
import { ackTicket, Problem } from './ticket.js'

const SOCKET_TIMEOUT = 2500 // ms; without a view by then, a poll runs beside the socket
const SOCKET_MAX_SILENCE = 25000 // ms; the hub repeats the view every 20 s
const SOCKET_RETRY = 120000 // ms; the network may have changed
const CHECK_TIMEOUT = 1000 // ms; a check that takes longer counts as failed
const CHECK_STEP = 250
const CHECK_STEPS = 6 // a browser keeps at most six connections to one host
const MAX_POLLS = 4
const MAX_PAUSE = 10000
const CLOCK_CHECK = 1000
const CLOCK_JUMP = 3000
const STORAGE_KEY = 'loginhub.sockets'

/** Keeps one ticket connected, over a socket, polls, or both. */
export class Connection {
  /** @type {T.Socket=} */
  #socket
  /** @type {T.Transport[]} more than one until one is answered */
  #polls = []
  /** @type {'connecting' | 'checking' | 'retrying' | 'idle'} idle: no attempt is timed */
  #phase = 'idle'
  #env; #ticket; #on; #checkStartedAt; #socketActiveAt; #refusedAt
  #timer = 0; #clockTimer = 0; #pause = 0; #failures = 0
  #socketIsNew = false // the socket was opened after the last wake
  #socketHasView = false // this socket has brought a view
  #socketsWork = false // some socket has brought a view
  #bySocket = false // the last view came over the socket
  #avoidSocket = false // the socket was closed for a reason that would close a new one too
  #socketsBlocked // in this session sockets failed and polls succeeded

  /**
   * @param {T.Env} env
   * @param {T.Ticket} ticket
   * @param {T.ConnectionEvents} on
   */
  constructor(env, ticket, on) {
    this.#env = env
    this.#ticket = ticket
    this.#on = on
    this.#checkStartedAt = this.#socketActiveAt = this.#refusedAt = readClocks(env)
    this.#socketsBlocked = Boolean(withStorage(env, (storage) => storage.getItem(STORAGE_KEY)))
    this.#open()
    this.#checkClocks()
  }

  /**
   * Acknowledges over the transport that brought the last view. Rejects if the hub did not
   * receive it.
   *
   * @param {number} seq
   */
  async ack(seq) {
    if (!this.#bySocket || !this.#socket?.ack(seq)) await ackTicket(this.#env, this.#ticket, seq)
  }

  /** Disconnects. `wake` connects again. */
  close() {
    this.#env.clock.clearTimeout(this.#timer)
    this.#env.clock.clearTimeout(this.#clockTimer)
    this.#socket?.close()
    this.#socket = undefined
    this.#closePolls()
    this.#phase = 'idle'
  }

  /**
   * Sends a short poll at once, beside the socket: a dead socket gives no sign. `stale`: requests
   * sent before may be lost. `reconnect`: the socket may be lost too.
   */
  wake({ reconnect = false, stale = false } = {}) {
    const env = this.#env
    if (this.#phase === 'retrying' && elapsed(env, this.#refusedAt) < this.#pause) return
    const checking = this.#phase === 'checking' || (this.#phase === 'connecting' && !reconnect)
    if (checking && !stale && elapsed(env, this.#checkStartedAt) < CHECK_TIMEOUT) return
    const socketLost = this.#socket ? elapsed(env, this.#socketActiveAt) > SOCKET_MAX_SILENCE : !this.#polls.length
    this.#failures = 0
    this.#socketIsNew = false
    if (reconnect || socketLost) this.#openSocket()
    this.#startCheck(CHECK_STEP, 0)
    this.#checkClocks()
  }

  #open() {
    const kept = this.#socket
    if (!kept && !this.#avoidSocket) this.#openSocket()
    if (kept || this.#avoidSocket || this.#socketsBlocked) return this.#startCheck(SOCKET_TIMEOUT, POLL_WAIT)
    this.#phase = 'connecting'
    this.#checkStartedAt = readClocks(this.#env)
    this.#setTimer(SOCKET_TIMEOUT, () => this.#startCheck(SOCKET_TIMEOUT, POLL_WAIT))
  }

  #openSocket() {
    this.#socket?.close()
    this.#socketIsNew = true
    this.#socketHasView = this.#bySocket = false
    this.#socketActiveAt = readClocks(this.#env)
    this.#socket = openSocket(this.#env, this.#ticket, {
      view: (view) => this.#socketView(view),
      end: (code) => this.#socketEnded(code),
    })
  }

  /**
   * Sends polls until one is answered. A browser reuses connections, and a request on a dead one
   * hangs. Another request takes another connection.
   *
   * @param {number} step milliseconds until the next poll
   * @param {number} wait
   */
  #startCheck(step, wait) {
    this.#closePolls()
    this.#phase = 'checking'
    this.#checkStartedAt = readClocks(this.#env)
    this.#openPoll(step, wait, 1)
  }

  /**
   * @param {number} step
   * @param {number} wait
   * @param {number} attempt
   */
  #openPoll(step, wait, attempt) {
    const poll = openPoll(this.#env, this.#ticket, {
      view: (view) => {
        this.#closePolls(poll)
        this.#pollView(view)
      },
      end: (problem) => {
        this.#polls = this.#polls.filter((other) => other !== poll)
        if (!problem.foreign || !this.#polls.length) this.#pollEnded(problem)
      },
    }, wait)
    this.#polls.push(poll)
    if (this.#polls.length > MAX_POLLS) this.#polls.shift()?.close()
    this.#setTimer(step, () => {
      const failed = attempt * step >= CHECK_TIMEOUT
      if (failed && !this.#socketIsNew) this.#openSocket()
      this.#openPoll(attempt < CHECK_STEPS ? step : Math.min(step * 2, MAX_PAUSE), wait, attempt + 1)
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
    this.#socketHasView = this.#socketsWork = this.#bySocket = true
    this.#avoidSocket = false
    this.#socketActiveAt = readClocks(this.#env)
    if (this.#socketsBlocked) this.#setSocketsBlocked('')
    // A view from an old socket may have been sent before the wake, so the check continues.
    if (this.#socketIsNew || this.#phase !== 'checking') {
      this.#closePolls()
      this.#setIdle()
    }
    this.#received(view)
  }

  /** @param {T.View?} view */
  #pollView(view) {
    this.#bySocket = false
    if (!this.#socketsWork && !this.#socketsBlocked) this.#setSocketsBlocked('blocked') // until a socket brings a view
    this.#setIdle()
    if (!this.#socket && elapsed(this.#env, this.#socketActiveAt) > SOCKET_RETRY) this.#openSocket()
    this.#received(view)
  }

  /** @param {T.View?} view */
  #received(view) {
    this.#failures = 0
    this.#on.live(true)
    if (view) this.#on.view(view)
  }

  /** @param {number} code */
  #socketEnded(code) {
    this.#socket = undefined
    const restarting = code === 1012 || code === 1013
    this.#avoidSocket ||= !restarting && ![1001, 1005, 1006, 1014].includes(code)
    if (this.#polls.length) return
    if (code === 4001) {
      this.close()
      return this.#on.fail(new Problem('replaced'))
    }
    if (this.#phase === 'retrying') return
    // A refused socket gives no reason. A poll does.
    if (this.#avoidSocket || !this.#socketHasView || this.#failures) return this.#startCheck(SOCKET_TIMEOUT, POLL_WAIT)
    this.#retryLater(restarting ? this.#env.random() * 2000 : backoff(this.#env, 0))
  }

  /** @param {T.Problem} problem */
  #pollEnded(problem) {
    this.#closePolls()
    if (!problem.passing) {
      this.close()
      return [404, 410].includes(problem.status) ? this.#on.gone() : this.#on.fail(problem)
    }
    // A full node refuses polls and keeps its sockets. A new socket may still bring a view.
    if (problem.foreign && !this.#socketIsNew) {
      this.#socket?.close()
      this.#socket = undefined
    }
    this.#refusedAt = readClocks(this.#env)
    this.#pause = Math.min((problem.retryAfter ?? 0) * 1000, MAX_PAUSE)
    this.#retryLater(Math.min(this.#pause + backoff(this.#env, this.#failures), MAX_PAUSE))
  }

  /** @param {number} delay */
  #retryLater(delay) {
    this.#failures++
    this.#phase = 'retrying'
    this.#setTimer(delay, () => this.#open())
    if (!this.#socket || !this.#socketHasView) this.#on.live(false)
  }

  #setIdle() {
    this.#env.clock.clearTimeout(this.#timer)
    this.#phase = 'idle'
  }

  /**
   * @param {number} ms
   * @param {() => void} run
   */
  #setTimer(ms, run) {
    this.#env.clock.clearTimeout(this.#timer)
    this.#timer = this.#env.clock.setTimeout(run, ms)
  }

  /** If only the wall clock advanced, the machine slept. No event reports that. */
  #checkClocks() {
    const env = this.#env
    const [monotonic, wall] = readClocks(env)
    env.clock.clearTimeout(this.#clockTimer)
    this.#clockTimer = env.clock.setTimeout(() => {
      const [now, wallNow] = readClocks(env)
      if (wallNow - wall - (now - monotonic) > CLOCK_JUMP) this.wake({ stale: true })
      this.#checkClocks()
    }, CLOCK_CHECK)
  }

  /** @param {string} value */
  #setSocketsBlocked(value) {
    this.#socketsBlocked = Boolean(value)
    withStorage(this.#env, (storage) => storage.setItem(STORAGE_KEY, value))
  }
}

/**
 * Calls `use` with the storage, which may be forbidden.
 *
 * @type {T.WithStorage}
 */
function withStorage(env, use) {
  try {
    return use(env.storage())
  } catch { /* nothing is stored */ }
}
