import { appName, createMark } from '../client/widget/apps.js'
import { isCodeless, isPhone } from '../client/widget/hints.js'
import { fill } from './i18n.js'

const ROW = 3 // buttons from which they are a row of marks

/** Returns the name of a provider: that of the configuration, else that of the kind. */
function nameOf({ dataset: { kind, named, labelZh, labelEn, twin } }, messages) {
  const label = document.documentElement.lang.startsWith('zh') ? labelZh : labelEn
  const name = named === undefined && appName(kind, messages) || label
  return twin ? `${name} (${twin})` : name
}

/** Returns the apps that scan the code, in order, as [kind, name]. The sandbox is none. */
export function scanningApps(scanWith = [], messages) {
  const providers = [...document.querySelectorAll('.provider')]
  return scanWith.filter((kind) => kind !== 'sandbox').flatMap((kind) => {
    const own = providers.filter(({ dataset }) => dataset.kind === kind)
    return own.length ? own.map(({ dataset }) => [kind, nameOf({ dataset: { ...dataset, twin: '' } }, messages)]) : [[kind, appName(kind, messages)]]
  }).filter(([, name], i, all) => name && all.findIndex(([, other]) => other === name) === i)
}

/**
 * The forms that open a provider's page in a new window. The one that this browser used last comes
 * first, before the code. A phone has those whose page is for a computer only if no app of it can
 * confirm. `ticket` returns the current {ticket, secret}.
 */
export function createRedirects(ticket, userAgent = navigator.userAgent) {
  const forms = [...document.querySelectorAll('form.redirect')]
  const providers = document.getElementById('providers')
  const last = forms.find((form) => form.getAttribute('action') === lastUsed())
  let opened // the ticket for which a provider's page was opened
  providers.classList.toggle('row', forms.length >= ROW)
  last?.classList.add('last')
  // Filled at submission, because the ticket may have been renewed. Emptied afterwards, so that the
  // secret does not stay in the document.
  for (const form of forms) {
    form.addEventListener('submit', () => {
      const { ticket: id = '', secret = '' } = ticket() ?? {}
      opened = id
      setLastUsed(form.getAttribute('action'))
      form.elements.ticket.value = id
      form.elements.secret.value = secret
      setTimeout(() => { form.elements.ticket.value = form.elements.secret.value = '' })
    })
  }
  return {
    show(state, snapshot, messages) {
      const codeless = isCodeless(snapshot)
      const onPhone = isPhone(userAgent) && !/MicroMessenger/i.test(userAgent) && !codeless
      for (const form of forms) {
        showButton(form, messages, { row: forms.length >= ROW && form !== last, last: form === last })
        form.hidden = state !== 'pending' || onPhone && 'desktop' in form.dataset
      }
      if (last && state === 'pending') placeFirst(last, codeless ? providers : providers.parentElement)
      providers.hidden = !forms.some((form) => !form.hidden && providers.contains(form))
      if (state === 'confirmed' && ticket()?.ticket !== opened) setLastUsed('code')
    },
  }
}

function placeFirst(form, parent) {
  if (parent.firstElementChild !== form) parent.prepend(form)
}

function showButton(form, messages, { row, last }) {
  const button = form.querySelector('button')
  const name = nameOf(form, messages)
  const text = fill(messages.connect, { name })
  if (button.dataset.text === text) return
  button.dataset.text = text
  button.classList.toggle('secondary', !last)
  button.replaceChildren(createText('span', row ? name : text))
  if (row) {
    button.prepend(createMark(form.dataset.kind, name))
    button.setAttribute('aria-label', text)
  }
  if (last) button.append(createText('small', messages.lastUsed))
}

function createText(tag, text) {
  const element = document.createElement(tag)
  element.textContent = text
  return element
}

// What was used last is kept in this browser only. A browser may refuse to keep anything.
const KEY = `loginhub-last-${document.body.dataset.client}`

function lastUsed() {
  try {
    return localStorage.getItem(KEY)
  } catch {
    return null
  }
}

function setLastUsed(used) {
  try {
    localStorage.setItem(KEY, used)
  } catch {
    // The order is then that of the configuration.
  }
}
