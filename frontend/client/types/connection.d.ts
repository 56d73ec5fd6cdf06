import type * as T from './types.js';
/** Keeps one ticket connected, over a socket, polls, or both. */
export declare class Connection {
    #private;
    /**
     * @param {T.Env} env
     * @param {T.Ticket} ticket
     * @param {T.ConnectionEvents} on
     */
    constructor(env: T.Env, ticket: T.Ticket, on: T.ConnectionEvents);
    /**
     * Acknowledges over the transport that brought the last view. Rejects if the hub did not
     * receive it.
     *
     * @param {number} seq
     */
    ack(seq: number): Promise<void>;
    /** Disconnects. `wake` connects again. */
    close(): void;
    /**
     * Sends a short poll at once, beside the socket: a dead socket gives no sign. `stale`: requests
     * sent before may be lost. `reconnect`: the socket may be lost too.
     */
    wake({ reconnect, stale }?: {
        reconnect?: boolean | undefined;
        stale?: boolean | undefined;
    }): void;
}
