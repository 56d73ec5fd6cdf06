import { chooseLanguage as choose } from '../client/widget/language.js'

const LANGUAGES = { zh: 'zh-CN', tw: 'zh-TW', en: 'en' }
const KEYS = Object.keys(LANGUAGES)

/** The language to speak: `?lang=` first, then the browser's first one that we know, else English. */
export function chooseLanguage(search, preferred = []) {
  const tag = choose([new URLSearchParams(search).get('lang'), ...preferred])
  return KEYS.find((key) => LANGUAGES[key] === tag)
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
    url.searchParams.set('lang', LANGUAGES[language])
    history.replaceState(null, '', url)
    apply()
  })
  apply()
}

// The next one, round and round.
function other(language) {
  return KEYS[(KEYS.indexOf(language) + 1) % KEYS.length]
}
