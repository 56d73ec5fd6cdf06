export { Problem } from './ticket.js';
import type * as T from './types.js';
/**
 * Starts a login. Throws a TypeError if `hub` is not a URL.
 *
 * @param {T.Options} options
 */
export declare function createLogin(options: T.Options): Login;
/** One login, from the creation of its ticket to the acknowledged token. `State` lists its states. */
declare class Login {
    #private;
    /** @param {T.Env} env */
    constructor(env: T.Env);
    /** Whole seconds left, from the hub's last view and the monotonic clock. */
    get remaining(): number;
    /** The ticket of the QR code on the page. */
    get ticket(): T.Ticket | undefined;
    /** Gets a new QR code, as the user asked, and cancels the former one. */
    refresh(): void;
    /** Cancels the login, for the phone too. */
    cancel(): void;
    /** Keeps this ticket if the page closes: the user follows a link into an app. */
    keepTicket(): void;
    /** Ends the login. No callback is called any more. */
    stop(): void;
}
