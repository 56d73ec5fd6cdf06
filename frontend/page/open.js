// A message of an official account links to this page with a token in the fragment, which no server and
// no log receives. The token opens the consent page, once.
const [, token] = /^#t=([\w-]+)$/.exec(location.hash) ?? []
if (token) {
  history.replaceState(null, '', location.pathname)
  const form = document.getElementById('open')
  form.elements.token.value = token
  form.submit()
}
