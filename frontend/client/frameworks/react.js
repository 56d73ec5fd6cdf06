import { useEffect, useRef, useState } from 'react'
import { createLogin } from '../login.js'

/** @import { Login, Options, Problem, Snapshot } from '../types.js' */

/**
 * Runs a login while the component is mounted. A change of `hub`, `clientId`, `nonce` or `request`
 * starts another one; the callbacks may change at any time.
 *
 * @param {Options} options
 */
export function useLogin(options) {
  const { hub, clientId, nonce, request } = options
  const latest = useRef(options)
  const login = useRef(/** @type {Login | null} */ (null))
  const [snapshot, setSnapshot] = useState(/** @type {Snapshot} */ ({ state: 'making' }))
  const [remaining, setRemaining] = useState(0)
  const [ticket, setTicket] = useState(/** @type {Login['ticket']} */ (undefined))
  const [actions] = useState(() => ({
    refresh: () => login.current?.refresh(),
    cancel: () => login.current?.cancel(),
    fail: (/** @type {Problem} */ error) => login.current?.fail(error),
    keepTicket: () => login.current?.keepTicket(),
  }))
  useEffect(() => {
    latest.current = options
  })
  useEffect(() => {
    const count = () => {
      setRemaining(current.remaining)
      setTicket(current.ticket)
    }
    const current = createLogin({
      ...latest.current,
      onState(snapshot) {
        setSnapshot(snapshot)
        count()
        latest.current.onState?.(snapshot)
      },
      onToken: (token, view) => latest.current.onToken?.(token, view),
    })
    login.current = current
    const timer = setInterval(count, 250)
    return () => {
      clearInterval(timer)
      current.stop()
    }
  }, [hub, clientId, nonce, request])
  return { snapshot, remaining, ticket, ...actions }
}
