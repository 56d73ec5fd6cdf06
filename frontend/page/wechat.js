const $ = (id) => document.getElementById(id)

/**
 * The logins by WeChat without a scan. A phone that shows this page gets a button instead of the QR
 * code; not in WeChat's own browser, which cannot open that link, but reads the code at a long press.
 * A computer gets the forms that open a provider's page in a new window. `ticket` returns the
 * current {ticket, secret}.
 */
export function createWeChatLogin(ticket, { dataset } = document.body, userAgent = navigator.userAgent) {
  const isPhone = /Android|iPhone|iPad|Mobile/i.test(userAgent) && !/MicroMessenger/i.test(userAgent)
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
    /** Shows what fits this state. Reports whether the button replaces the QR code. */
    show(state) {
      const { ticket: id } = ticket() ?? {}
      const onPhone = Boolean(isPhone && dataset.open && id && state === 'pending')
      for (const form of forms) form.hidden = isPhone || state !== 'pending'
      if (dataset.open) {
        $('open').hidden = !onPhone
        if (onPhone) $('open').href = dataset.open.replaceAll('{ticket}', id)
      }
      $('login').classList.toggle('here', onPhone)
      return onPhone
    },
  }
}
