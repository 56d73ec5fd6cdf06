/** @import * as T from './types.js' */

/**
 * Now by the monotonic clock, which stops while a phone keeps the page in the background or a
 * laptop sleeps, and by the wall clock, which goes on but can be set.
 *
 * @type {T.Now}
 */
export const moment = ({ clock }) => [clock.now(), clock.wall?.() ?? Date.now()]

/**
 * Milliseconds since a moment, by the clock that went further.
 *
 * @type {T.Since}
 */
export const since = (env, then) => Math.max(...moment(env).map((now, i) => now - then[i]))

/**
 * Full jitter, so that pages do not come back all at once. With the caller's pause at most 10 s.
 *
 * @type {T.Backoff}
 */
export const backoff = (env, fails) => env.random() * Math.min(9000, 1000 * 2 ** fails)
