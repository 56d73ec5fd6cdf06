/** The languages that pages and widget speak, by the tag that a document would carry. */
export const LANGUAGES = ['zh-CN', 'zh-TW', 'en']

/**
 * The first of the wished languages that we speak, else English. Wishes are BCP 47 tags, such as
 * a `lang` attribute or `navigator.languages`; empty ones are passed over.
 *
 * @param {Iterable<string | null | undefined>} wishes
 */
export function chooseLanguage(wishes) {
  for (const wish of wishes) {
    const [language, ...rest] = (wish ?? '').toLowerCase().split(/[-_]/)
    if (language === 'en') return 'en'
    if (language !== 'zh') continue
    // The script decides; where it is not said, the region does.
    const traditional = rest.includes('hant') || (!rest.includes('hans') && rest.some((r) => ['tw', 'hk', 'mo'].includes(r)))
    return traditional ? 'zh-TW' : 'zh-CN'
  }
  return 'en'
}
