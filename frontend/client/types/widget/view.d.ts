import type { Snapshot } from '../types.js';
import type { Messages } from './messages.js';
/**
 * The widget's content. It is built from nodes: a site may forbid markup from strings (Trusted
 * Types) and inline styles.
 */
export declare class View {
    #private;
    /**
     * @param {ShadowRoot} root
     * @param {{refresh(): void, keepTicket(): void, client(): string | null}} login
     * @param {Messages} messages
     */
    constructor(root: ShadowRoot, login: {
        refresh(): void;
        keepTicket(): void;
        client(): string | null;
    }, messages: Messages);
    /** @param {Messages} messages @param {string} language */
    setLanguage(messages: Messages, language: string): void;
    /** @param {Snapshot} snapshot */
    show(snapshot: Snapshot): void;
    /** @param {number} left @param {number} retry seconds, 0 for none */
    tick(left: number, retry: number): void;
}
