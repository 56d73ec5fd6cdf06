// The consent page works without scripts. This one shows the time in the phone's zone and what is left.
const time = document.querySelector('#requested time')
if (time) time.textContent = new Date(time.dateTime).toLocaleTimeString(document.documentElement.lang)

const left = document.getElementById('left')
const deadline = performance.now() + left?.dataset.seconds * 1000
if (left) setInterval(() => {
  const seconds = Math.max(0, Math.ceil((deadline - performance.now()) / 1000))
  left.textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`
}, 250)
