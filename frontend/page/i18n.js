const LANGUAGES = { zh: 'zh-CN', en: 'en' }

/** The language to speak: `?lang=` first, then the browser's first one that we know, else English. */
export function chooseLanguage(search, preferred = []) {
  const wishes = [new URLSearchParams(search).get('lang'), ...preferred]
  for (const wish of wishes) {
    const language = String(wish ?? '').toLowerCase().split('-')[0]
    if (Object.hasOwn(LANGUAGES, language)) return language
  }
  return 'en'
}

/** Fills `{name}` in a text. */
export function fill(text, values) {
  return text.replace(/\{(\w+)\}/g, (_, key) => values[key] ?? '')
}

/**
 * Speaks the page's language: texts of elements with `data-t`, the document's language and the
 * button that switches it. Switching keeps the page (and its ticket) and notes the choice in the URL.
 */
export function speak(words, button, changed) {
  let language = chooseLanguage(location.search, navigator.languages)
  const apply = () => {
    document.documentElement.lang = LANGUAGES[language]
    for (const element of document.querySelectorAll('[data-t]')) {
      element.textContent = words[language][element.dataset.t]
    }
    button.textContent = words[language].other
    button.lang = LANGUAGES[other(language)]
    changed(words[language], language)
  }
  button.addEventListener('click', () => {
    language = other(language)
    const url = new URL(location.href)
    url.searchParams.set('lang', language)
    history.replaceState(null, '', url)
    apply()
  })
  apply()
}

function other(language) {
  return language === 'zh' ? 'en' : 'zh'
}
