import { formatDate } from './i18n.js'

// The consent page works without scripts. This one changes the language at once, shows the time in the
// phone's zone and what is left, and loads the page again at the end, which then says so.
document.getElementById('language').addEventListener('change', (event) => event.target.form.submit())

const left = document.getElementById('left')
if (left) {
  const time = document.querySelector('#requested time')
  time.textContent = formatDate(new Date(time.dateTime), { timeStyle: 'medium' })
  const deadline = Date.now() + left.dataset.seconds * 1000
  const timer = setInterval(() => {
    const seconds = Math.max(0, Math.ceil((deadline - Date.now()) / 1000))
    left.textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`
    if (seconds) return
    clearInterval(timer)
    location.reload()
  }, 250)
  // A decision under way may have arrived in time.
  document.querySelector('form.screen').addEventListener('submit', () => clearInterval(timer))
}
