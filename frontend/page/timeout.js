/** AbortSignal.timeout, which the oldest supported browsers do not have. The error's name is AbortError. */
export function timeout(ms) {
  const abort = new AbortController()
  setTimeout(() => abort.abort(), ms)
  return abort.signal
}
