import { createLogin } from '../login.js';
import type { Snapshot, View as HubView } from '../types.js';
export type Login = ReturnType<typeof createLogin>;
export type LoginDetail = {
    token: string;
    view: HubView;
    /**
     * the token is acknowledged when all of
     * these promises resolve. If one rejects, or resolves to a Response whose `ok` is false, the token
     * is passed again, by another event
     */
    waitUntil: (taken: Promise<unknown>) => void;
};
declare const Base: {
    new (): HTMLElement;
    prototype: HTMLElement;
};
/**
 * `<login-qr client="demo" login-nonce="…">` shows the QR code, the user who scanned it, the
 * number to match, the time left, and what to do after an error. Attributes:
 *
 * - `hub`: the hub's URL; by default the hub that served this module
 * - `client`, `login-nonce`: as in createLogin (browsers hide an attribute named `nonce`)
 * - `lang`: zh-CN, zh-TW, en, ja, ko or ar; by default the document's language, then the browser's
 * - `theme`: light or dark; by default the system's
 *
 * Events, none of which bubbles: `login` (LoginDetail), `state` (Snapshot), `error` (Problem).
 * Slots: `title`, `footer`. Parts: card, title, tile, code, user, initial, name, sign, refresh,
 * match, status, hint, open, time, button. Custom properties: --login-qr-accent, --login-qr-on-accent,
 * --login-qr-background, --login-qr-color.
 */
export declare class LoginQR extends Base {
    #private;
    static observedAttributes: string[];
    /** The current state. */
    get snapshot(): Snapshot;
    /** The nonce as a property, for frameworks that set properties. */
    get loginNonce(): string;
    set loginNonce(nonce: string);
    /** Gets a new QR code, as if the user had asked for it. */
    refresh(): void;
    /** Cancels the login, for the phone too. */
    cancel(): void;
    connectedCallback(): void;
    disconnectedCallback(): void;
    /** @param {string} name @param {string | null} old @param {string | null} now */
    attributeChangedCallback(name: string, old: string | null, now: string | null): void;
}
export {};
