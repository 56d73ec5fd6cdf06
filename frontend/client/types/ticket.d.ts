/** @import * as T from './types.js' */
import type * as T from './types.js';
/**
 * Why something failed. The code is the hub's, or one of the client's own: `network` or
 * `http_STATUS` (no answer of the hub), `replaced`, `token_not_accepted`. Only the hub sets
 * `retryAfter` (seconds).
 */
export declare class Problem extends Error {
    code: string;
    status: number;
    detail: string;
    retryAfter: number | undefined;
    /** @param {number=} retryAfter */
    constructor(code?: string, status?: number, detail?: string, retryAfter?: number | undefined);
    /** Reports whether the same request may succeed later. */
    get passing(): boolean;
    /** Reports whether the hub gave no answer: the network failed, or a proxy answered instead. */
    get foreign(): boolean;
}
/** For a success that does not come from the hub. */
export declare const notFromHub: () => Problem;
/** @type {T.AckTicket} */
export declare const ackTicket: T.AckTicket;
/**
 * Cancels the ticket, even if the page closes, with `keepalive`.
 *
 * @type {T.CancelTicket}
 */
export declare const cancelTicket: T.CancelTicket;
/**
 * Reports whether a decoded message is a view of this ticket.
 *
 * @type {T.IsView}
 */
export declare const isView: T.IsView;
/** @type {T.TicketPath} */
export declare const ticketPath: T.TicketPath;
/**
 * The URL of a path at the hub. The hub itself may be below a path.
 *
 * @type {T.HubURL}
 */
export declare const hubURL: T.HubURL;
