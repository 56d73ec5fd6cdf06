import { isCodeless, isPhone } from '../client/widget/hints.js'
import { fill } from './i18n.js'

/**
 * The forms of a computer's login page that open a provider's page in a new window. A phone has them
 * if no app of it can confirm. `ticket` returns the current {ticket, secret}.
 */
export function createRedirects(ticket, userAgent = navigator.userAgent) {
  const forms = [...document.querySelectorAll('form.redirect')]
  // Filled at submission, because the ticket may have been renewed. Emptied afterwards, so that the
  // secret does not stay in the document.
  for (const form of forms) {
    form.addEventListener('submit', () => {
      const { ticket: id = '', secret = '' } = ticket() ?? {}
      form.elements.ticket.value = id
      form.elements.secret.value = secret
      setTimeout(() => { form.elements.ticket.value = form.elements.secret.value = '' })
    })
  }
  return {
    show(state, snapshot, messages) {
      for (const { dataset, lastElementChild: button } of forms) {
        button.textContent = fill(messages.connect, { name: document.documentElement.lang === 'en' ? dataset.labelEn : dataset.labelZh })
      }
      const onPhone = isPhone(userAgent) && !/MicroMessenger/i.test(userAgent) && !isCodeless(snapshot)
      const hidden = onPhone || state !== 'pending'
      for (const form of forms) form.hidden = hidden
    },
  }
}
