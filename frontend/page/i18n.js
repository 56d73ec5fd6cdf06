import { chooseLanguage as chooseTag } from '../client/widget/language.js'

const LANGUAGES = { zh: 'zh-CN', tw: 'zh-TW', en: 'en' }
const KEYS = Object.keys(LANGUAGES)

/** Returns the page's language: that of `?lang=`, else the browser's first supported one, else English. */
export function chooseLanguage(search, preferred = []) {
  const tag = chooseTag([new URLSearchParams(search).get('lang'), ...preferred])
  return KEYS.find((key) => LANGUAGES[key] === tag)
}

/** Replaces the placeholders of a text, such as `{name}`. */
export function fill(text, values) {
  return text.replace(/\{(\w+)\}/g, (_, key) => values[key] ?? '')
}

/**
 * Sets the page's language: the texts of elements with `data-t`, the document's language, and the
 * button that changes it. A change keeps the page and its ticket, and sets `lang` in the URL.
 * `onChange` gets the messages of each language that is set.
 */
export function setUpLanguage(allMessages, button, onChange) {
  let language = chooseLanguage(location.search, navigator.languages)
  const apply = () => {
    const messages = allMessages[language]
    document.documentElement.lang = LANGUAGES[language]
    for (const element of document.querySelectorAll('[data-t]')) {
      element.textContent = messages[element.dataset.t]
    }
    button.textContent = messages.nextLanguage
    button.lang = LANGUAGES[nextLanguage(language)]
    onChange(messages, language)
  }
  button.addEventListener('click', () => {
    language = nextLanguage(language)
    const url = new URL(location.href)
    url.searchParams.set('lang', LANGUAGES[language])
    history.replaceState(null, '', url)
    apply()
  })
  apply()
}

// Returns the language after this one. The last is followed by the first.
function nextLanguage(language) {
  return KEYS[(KEYS.indexOf(language) + 1) % KEYS.length]
}
