/** Replaces the placeholders of a text, such as `{name}`. */
export function fill(text, values) {
  return text.replace(/\{(\w+)\}/g, (_, key) => values[key] ?? '')
}

/**
 * Calls `onChange` with the texts of the page's language, which are in the page, and again when the
 * reader chooses another one. Then it also sets the texts of elements with `data-t`. A change keeps the
 * page and its ticket, and sets `lang` in the URL. `sections` are those of the catalogue in the page.
 */
export function setUpLanguage(sections, select, onChange) {
  const root = document.documentElement
  const first = JSON.parse(document.getElementById('messages').textContent)
  select.addEventListener('change', async () => {
    const language = select.value
    const catalogue = await fetchCatalogue(language)
    if (language !== select.value) return // the reader has chosen again
    if (!catalogue) return void (select.value = root.lang)
    const messages = Object.assign({ apps: catalogue.apps }, ...sections.map((name) => catalogue[name]), first.replaced?.[language])
    root.lang = language
    root.dir = catalogue.dir
    for (const element of document.querySelectorAll('[data-t]')) element.textContent = messages[element.dataset.t]
    const url = new URL(location.href)
    url.searchParams.set('lang', language)
    history.replaceState(null, '', url)
    onChange(messages, language)
  })
  onChange(first, root.lang)
}

// Returns null if the catalogue cannot be had now.
async function fetchCatalogue(language) {
  try {
    const answer = await fetch(`/assets/messages/${language}.json`)
    return answer.ok ? await answer.json() : null
  } catch {
    return null
  }
}

/** Formats a date for readers of the page. Digits are as in the page's other numbers. */
export function formatDate(date, options) {
  return date.toLocaleString(document.documentElement.lang, { numberingSystem: 'latn', ...options })
}
