import { onScopeDispose, readonly, ref, shallowReadonly, shallowRef, toValue, watch } from 'vue'
import { createLogin } from '../login.js'

/** @import { MaybeRefOrGetter } from 'vue' */
/** @import { Login, Options, Problem, Snapshot } from '../types.js' */

/**
 * Runs a login until the component is unmounted, in the browser only. A change of `hub`,
 * `clientId`, `nonce` or `request` starts another one.
 *
 * @param {MaybeRefOrGetter<Options>} options
 */
export function useLogin(options) {
  const snapshot = shallowRef(/** @type {Snapshot} */ ({ state: 'making' }))
  const remaining = ref(0)
  const ticket = shallowRef(/** @type {Login['ticket']} */ (undefined))
  /** @type {Login=} */
  let login
  const count = () => {
    remaining.value = login?.remaining ?? 0
    ticket.value = login?.ticket
  }
  const start = () => {
    login?.stop()
    login = createLogin({
      ...toValue(options),
      onState(now) {
        snapshot.value = now
        count()
        toValue(options).onState?.(now)
      },
      onToken: (token, view) => toValue(options).onToken?.(token, view),
    })
  }
  if (globalThis.document) { // a server renders the first state
    const keys = () => { const { hub, clientId, nonce, request } = toValue(options); return [hub, clientId, nonce, request] }
    watch(keys, start, { immediate: true })
    const timer = setInterval(count, 250)
    onScopeDispose(() => {
      clearInterval(timer)
      login?.stop()
    })
  }
  return {
    snapshot: readonly(snapshot),
    remaining: readonly(remaining),
    ticket: shallowReadonly(ticket),
    refresh: () => login?.refresh(),
    cancel: () => login?.cancel(),
    fail: (/** @type {Problem} */ error) => login?.fail(error),
    keepTicket: () => login?.keepTicket(),
  }
}
