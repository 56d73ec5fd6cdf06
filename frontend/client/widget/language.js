/**
 * Returns the first language of `tags` that is among `supported`; otherwise en. All are BCP 47 tags, such
 * as a `lang` attribute or `navigator.languages`. Empty ones are skipped. Chinese is zh-CN or zh-TW.
 *
 * @param {Iterable<string | null | undefined>} tags
 * @param {string[]} supported
 */
export function chooseLanguage(tags, supported) {
  for (const tag of tags) {
    const [language, ...rest] = (tag ?? '').toLowerCase().split(/[-_]/)
    // The script decides. Without a script the region does.
    const traditional = rest.includes('hant') || (!rest.includes('hans') && rest.some((r) => ['tw', 'hk', 'mo'].includes(r)))
    const wanted = language === 'zh' ? (traditional ? 'zh-TW' : 'zh-CN') : language
    if (supported.includes(wanted)) return wanted
  }
  return 'en'
}
