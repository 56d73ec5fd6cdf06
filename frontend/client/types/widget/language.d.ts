/**
 * Returns the first language of `tags` that is among `supported`; otherwise en. All are BCP 47 tags, such
 * as a `lang` attribute or `navigator.languages`. Empty ones are skipped. Chinese is zh-CN or zh-TW.
 *
 * @param {Iterable<string | null | undefined>} tags
 * @param {string[]} supported
 */
export declare function chooseLanguage(tags: Iterable<string | null | undefined>, supported: string[]): string;
