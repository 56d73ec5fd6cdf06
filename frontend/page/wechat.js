const $ = (id) => document.getElementById(id)

/**
 * The ways to WeChat without a scan. On the phone that shows this page itself, a button in place
 * of the code (WeChat's own browser cannot follow it, but reads the code at a long press); on a
 * computer, the form that opens WeChat's website login in a new window. `ticket` gives the
 * current {ticket, secret}.
 */
export function wechat(ticket, { dataset } = document.body, agent = navigator.userAgent) {
  const handset = /Android|iPhone|iPad|Mobile/i.test(agent) && !/MicroMessenger/i.test(agent)
  const form = $('wechat-web')
  // Filled at the last moment, for the ticket may have been renewed; emptied, for it need not stay.
  form?.addEventListener('submit', () => {
    const { ticket: id = '', secret = '' } = ticket() ?? {}
    form.elements.ticket.value = id
    form.elements.secret.value = secret
    setTimeout(() => { form.elements.ticket.value = form.elements.secret.value = '' })
  })
  return {
    /** Shows what fits this state; true where the button stands in place of the code. */
    show(state) {
      const { ticket: id } = ticket() ?? {}
      const here = Boolean(handset && dataset.open && id && state === 'pending')
      if (form) form.hidden = handset || state !== 'pending'
      if (dataset.open) {
        $('open').hidden = !here
        if (here) $('open').href = dataset.open.replaceAll('{ticket}', id)
      }
      $('login').classList.toggle('here', here)
      return here
    },
  }
}
