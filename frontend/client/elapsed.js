/** @import * as T from './internal.js' */

/**
 * Reads the monotonic clock and the wall clock. The first stops while a phone keeps the page in
 * the background or a laptop sleeps. The second goes on, but can be set.
 *
 * @type {T.ReadClocks}
 */
export const readClocks = ({ clock }) => [clock.now(), clock.wall?.() ?? Date.now()]

/**
 * Milliseconds since a reading, by the clock that advanced further.
 *
 * @type {T.Elapsed}
 */
export const elapsed = (env, start) => Math.max(...readClocks(env).map((now, i) => now - start[i]))

/**
 * A random pause (full jitter), so that pages do not reconnect all at once. At most 9 s: with the
 * caller's own pause of 1 s at most 10 s.
 *
 * @type {T.Backoff}
 */
export const backoff = (env, failures) => env.random() * Math.min(9000, 1000 * 2 ** failures)
