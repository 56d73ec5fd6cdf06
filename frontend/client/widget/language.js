/**
 * Returns the first language of `tags` that is supported: zh-CN, zh-TW or en; otherwise en. `tags`
 * are BCP 47 tags, such as a `lang` attribute or `navigator.languages`. Empty ones are skipped.
 *
 * @param {Iterable<string | null | undefined>} tags
 */
export function chooseLanguage(tags) {
  for (const tag of tags) {
    const [language, ...rest] = (tag ?? '').toLowerCase().split(/[-_]/)
    if (language === 'en') return 'en'
    if (language !== 'zh') continue
    // The script decides. Without a script the region does.
    const traditional = rest.includes('hant') || (!rest.includes('hans') && rest.some((r) => ['tw', 'hk', 'mo'].includes(r)))
    return traditional ? 'zh-TW' : 'zh-CN'
  }
  return 'en'
}
