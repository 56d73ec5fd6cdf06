// The types of `loginhub-client/react`: the hook, and `<login-qr>` in JSX.

import type { DetailedHTMLProps, HTMLAttributes } from 'react'
import type { LoginQR, LoginQRAttributes, LoginQREventMap } from '../login-qr.js'
import type { Login, Options, Snapshot } from '../types.js'

/**
 * Runs a login while the component is mounted. A change of `hub`, `clientId`, `nonce` or `request`
 * starts another one; the callbacks may change at any time.
 */
export function useLogin(options: Options): Omit<Login, 'stop'> & { snapshot: Snapshot }

type HTMLProps = Omit<DetailedHTMLProps<HTMLAttributes<LoginQR>, LoginQR>, keyof LoginQRAttributes>

/** The props of `<login-qr>`. React 19 listens with `onlogin`; React 18 needs a ref and addEventListener. */
export interface LoginQRProps extends HTMLProps, LoginQRAttributes {
  class?: string
  onlogin?: (event: LoginQREventMap['login']) => void
  onstate?: (event: LoginQREventMap['state']) => void
  onerror?: (event: LoginQREventMap['error']) => void
}

declare module 'react' {
  namespace JSX { // React 19
    interface IntrinsicElements {
      'login-qr': LoginQRProps
    }
  }
}

declare global {
  namespace JSX { // React 18
    interface IntrinsicElements {
      'login-qr': LoginQRProps
    }
  }
}
