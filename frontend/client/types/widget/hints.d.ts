/**
 * Returns what the hub's clients file needs for a login from this page.
 *
 * @param {string | null=} client
 */
export declare function clientsEntry(client?: (string | null) | undefined): string;
/**
 * Returns the text for a word from outside, such as a `reason`, if there is one. A plain lookup finds
 * built-ins too, such as `constructor`.
 *
 * @template T
 * @param {Record<string, T>} texts
 * @param {string=} word
 */
export declare const textFor: <T>(texts: Record<string, T>, word?: string | undefined) => T | undefined;
/**
 * Reports whether no phone can confirm the login, so that a code leads nowhere.
 *
 * @param {{scanWith?: string[]}} snapshot
 */
export declare const isCodeless: ({ scanWith }: {
    scanWith?: string[];
}) => boolean;
/**
 * Returns which app a phone opens in place of a scan, by the link that does so: `wechat`, `app`,
 * `sandbox`, or '' on a computer and without a link. WeChat's own browser cannot open a link into
 * WeChat, but reads the code at a long press.
 *
 * @param {{launchUrl?: string, scanWith?: string[]}} snapshot
 */
export declare function launchKey({ launchUrl, scanWith }: {
    launchUrl?: string;
    scanWith?: string[];
}, userAgent?: string): "" | "app" | "sandbox" | "wechat";
/** @param {string} userAgent */
export declare const isPhone: (userAgent: string) => boolean;
/**
 * Prepares a link for `launchUrl`. A web address opens beside the page: the page must stay for the
 * token.
 *
 * @param {HTMLAnchorElement} link
 * @param {string=} launchUrl
 */
export declare function setLaunchLink(link: HTMLAnchorElement, launchUrl?: string | undefined): void;
