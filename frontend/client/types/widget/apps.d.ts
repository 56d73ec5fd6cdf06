export type AppMessages = {
    scanWith: string;
    apps: Record<string, string>;
};
/**
 * Returns what people call the app of a kind of provider; '' if the messages have no name for it.
 *
 * @param {string} kind
 * @param {Pick<AppMessages, 'apps'>} messages
 */
export declare function appName(kind: string, { apps }: Pick<AppMessages, 'apps'>): string;
/**
 * Fills the names of apps into the text that says what scans the code, each name once.
 *
 * @param {AppMessages} messages
 * @param {Iterable<string>} appNames
 */
export declare function fillApps({ scanWith, apps: { comma, or } }: AppMessages, appNames: Iterable<string>): string;
/**
 * Returns the mark of a kind of provider, or the first letter of its name.
 *
 * @param {string} kind
 * @param {string} name
 */
export declare function createMark(kind: string, name: string): HTMLSpanElement | SVGSVGElement;
