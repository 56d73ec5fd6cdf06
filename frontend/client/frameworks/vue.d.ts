// The types of `loginhub-client/vue`: the composable, and `<login-qr>` in templates.

import type { HTMLAttributes, MaybeRefOrGetter, PublicProps, Ref, ShallowRef } from 'vue'
import type { LoginQR, LoginQRAttributes, LoginQREventMap } from '../login-qr.js'
import type { Login, Options, Snapshot } from '../types.js'

/**
 * Runs a login until the component is unmounted, in the browser only. A change of `hub`,
 * `clientId`, `nonce` or `request` starts another one.
 */
export function useLogin(options: MaybeRefOrGetter<Options>): Omit<Login, 'stop' | 'remaining' | 'ticket'> & {
  snapshot: Readonly<ShallowRef<Snapshot>>
  remaining: Readonly<Ref<number>>
  ticket: Readonly<ShallowRef<Login['ticket']>>
}

type HTMLProps = Omit<HTMLAttributes, keyof LoginQRAttributes | 'onError'>

/** The props of `<login-qr>`. */
export interface LoginQRProps extends HTMLProps, LoginQRAttributes {
  loginNonce?: string
  onLogin?: (event: LoginQREventMap['login']) => void
  onState?: (event: LoginQREventMap['state']) => void
  onError?: (event: LoginQREventMap['error']) => void
}

declare module 'vue' {
  interface GlobalComponents {
    'login-qr': new () => LoginQR & { $props: LoginQRProps & PublicProps }
  }
}
