/** @import * as T from './types.js' */
import type * as T from './types.js';
/**
 * Reads the monotonic clock and the wall clock. The first stops while a phone keeps the page in
 * the background or a laptop sleeps. The second goes on, but can be set.
 *
 * @type {T.ReadClocks}
 */
export declare const readClocks: T.ReadClocks;
/**
 * Milliseconds since a reading, by the clock that advanced further.
 *
 * @type {T.Elapsed}
 */
export declare const elapsed: T.Elapsed;
/**
 * A random pause (full jitter), so that pages do not reconnect all at once. At most 9 s: with the
 * caller's own pause of 1 s at most 10 s.
 *
 * @type {T.Backoff}
 */
export declare const backoff: T.Backoff;
