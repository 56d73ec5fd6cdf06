import { makeFill, siteName } from './render.js'

const $ = (id) => document.getElementById(id)

/**
 * Sets up the dialog that asks before a site is switched. `texts()` returns the texts, `send(ids, enabled)`
 * switches, and `done()` is called after it. All sites at once need a typed word.
 */
export function setUpConfirm({ texts, send, done }) {
  const dialog = $('confirm')
  let change // what `yes` does

  function open(sites, enabled, all = false) {
    const t = texts()
    change = { ids: sites.map(({ id }) => id), enabled }
    const [site] = sites
    const name = siteName(site) === site.id ? site.id : `${siteName(site)} (${site.id})`
    $('ask').textContent = makeFill(all ? t.askAll : enabled ? t.askOn : t.askOff, { site: name, n: sites.length })
    $('effect').textContent = enabled ? t.effectOn : t.effectOff
    $('failed').textContent = ''
    $('type').hidden = !all
    $('typed').value = ''
    $('yes').textContent = enabled ? t.switchOn : t.switchOff
    $('yes').className = enabled ? 'button' : 'button danger'
    check()
    dialog.showModal()
    $(all ? 'typed' : 'no').focus()
  }

  const check = () => { $('yes').disabled = !$('type').hidden && $('typed').value.trim() !== 'all' }

  $('typed').addEventListener('input', check)
  $('no').addEventListener('click', () => dialog.close())
  $('yes').addEventListener('click', async () => {
    $('yes').disabled = true
    try {
      await send(change.ids, change.enabled)
      dialog.close()
    } catch (err) {
      $('failed').textContent = makeFill(texts().failed, { error: err.message })
    }
    check()
    done()
  })
  return { open }
}
