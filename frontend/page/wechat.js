import { isPhone } from '../client/widget/hints.js'

/**
 * The form of a computer's login page that opens WeChat's website login in a new window. `ticket`
 * returns the current {ticket, secret}.
 */
export function createWeChatLogin(ticket, userAgent = navigator.userAgent) {
  const form = document.getElementById('wechat-web')
  // Filled at submission, because the ticket may have been renewed. Emptied afterwards, so that the
  // secret does not stay in the document.
  form?.addEventListener('submit', () => {
    const { ticket: id = '', secret = '' } = ticket() ?? {}
    form.elements.ticket.value = id
    form.elements.secret.value = secret
    setTimeout(() => { form.elements.ticket.value = form.elements.secret.value = '' })
  })
  return {
    show(state) {
      if (form) form.hidden = (isPhone(userAgent) && !/MicroMessenger/i.test(userAgent)) || state !== 'pending'
    },
  }
}
