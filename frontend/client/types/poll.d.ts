export declare const POLL_WAIT = 25;
