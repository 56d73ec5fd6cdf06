// The types of the widget.

import type { Problem, Snapshot, View } from './types.js'

export type { Problem, Snapshot, State, User, View } from './types.js'

/** What the event `login` carries. */
export interface LoginDetail {
  token: string
  view: View
  /**
   * The token is acknowledged when all of these promises resolve. If one rejects, or resolves to a
   * Response whose `ok` is false, the token is passed again, by another event.
   */
  waitUntil(taken: Promise<unknown>): void
}

/** The widget's events. None of them bubbles. */
export interface LoginQREventMap {
  login: CustomEvent<LoginDetail>
  state: CustomEvent<Snapshot>
  error: CustomEvent<Problem>
}

/** The widget's attributes. */
export interface LoginQRAttributes {
  /** The hub's URL; by default the hub that served the module. */
  hub?: string
  client?: string
  'login-nonce'?: string
  lang?: string
  theme?: 'light' | 'dark'
}

type OtherEventMap = Omit<HTMLElementEventMap, keyof LoginQREventMap>
type Listener<E> = (this: LoginQR, event: E) => unknown

/** The element `<login-qr>`. */
export class LoginQR extends HTMLElement {
  static observedAttributes: string[]
  /** The current state. */
  readonly snapshot: Snapshot
  /** The attribute `login-nonce` as a property, for frameworks that set properties. */
  loginNonce: string
  /** Gets a new QR code, as if the user had asked for it. */
  refresh(): void
  /** Cancels the login, for the phone too. */
  cancel(): void
  addEventListener<K extends keyof LoginQREventMap>(type: K, listener: Listener<LoginQREventMap[K]>, options?: boolean | AddEventListenerOptions): void
  addEventListener<K extends keyof OtherEventMap>(type: K, listener: Listener<OtherEventMap[K]>, options?: boolean | AddEventListenerOptions): void
  addEventListener(type: string, listener: EventListenerOrEventListenerObject, options?: boolean | AddEventListenerOptions): void
  removeEventListener<K extends keyof LoginQREventMap>(type: K, listener: Listener<LoginQREventMap[K]>, options?: boolean | EventListenerOptions): void
  removeEventListener<K extends keyof OtherEventMap>(type: K, listener: Listener<OtherEventMap[K]>, options?: boolean | EventListenerOptions): void
  removeEventListener(type: string, listener: EventListenerOrEventListenerObject, options?: boolean | EventListenerOptions): void
}

declare global {
  interface HTMLElementTagNameMap {
    'login-qr': LoginQR
  }
}
