// What the widget and the hub's own page both tell their reader.

/**
 * Returns what the hub's clients file needs for a login from this page.
 *
 * @param {string | null=} client
 */
export function clientsEntry(client) {
  return `${client ? `id: ${client}\n` : ''}origins: [${location.origin}]`
}

/**
 * Returns the line with the number that the reader tells the operator, '' for an error that has none.
 *
 * @param {{detail?: string}} error
 * @param {{requestId: string}} messages
 */
export function requestLine({ detail = '' }, messages) {
  const [id] = /[0-9a-f]{32}/.exec(detail) ?? []
  return id ? `${messages.requestId} ${id}` : ''
}

/**
 * Returns the text for a word from outside, such as a `reason`, if there is one. A plain lookup finds
 * built-ins too, such as `constructor`.
 *
 * @template T
 * @param {Record<string, T>} texts
 * @param {string=} word
 */
export const textFor = (texts, word = '') => (Object.prototype.hasOwnProperty.call(texts, word) ? texts[word] : undefined)

/**
 * Returns the text for an error. A page without WebCrypto has no key for its token, which a client may demand.
 *
 * @template T
 * @param {Record<string, T>} errors
 * @param {{code: string, detail: string, foreign: boolean}=} error
 */
export function errorText(errors, error) {
  const keyless = error?.code === 'invalid_request' && /^jwk: required/.test(error.detail) && !globalThis.crypto?.subtle
  return textFor(errors, keyless ? 'webcrypto_missing' : error?.code) ?? (error?.foreign ? errors.network : errors.unknown)
}

/**
 * Reports whether no phone can confirm the login, so that a code leads nowhere.
 *
 * @param {{scanWith?: string[]}} snapshot
 */
export const isCodeless = ({ scanWith }) => scanWith?.length === 0

/**
 * Returns which app a phone opens in place of a scan, by the link that does so: `wechat`, `app`,
 * `sandbox`, or '' on a computer and without a link. WeChat's own browser cannot open a link into
 * WeChat, but reads the code at a long press.
 *
 * @param {{launchUrl?: string, scanWith?: string[]}} snapshot
 */
export function launchKey({ launchUrl, scanWith = [] }, userAgent = navigator.userAgent) {
  if (!launchUrl || !isPhone(userAgent)) return ''
  if (/^weixin:/.test(launchUrl)) return /MicroMessenger/i.test(userAgent) ? '' : 'wechat'
  return scanWith.includes('sandbox') ? 'sandbox' : 'app'
}

/** @param {string} userAgent */
export const isPhone = (userAgent) => /Android|iPhone|iPad|Mobile/i.test(userAgent)

/**
 * Prepares a link for `launchUrl`. A web address opens beside the page: the page must stay for the
 * token.
 *
 * @param {HTMLAnchorElement} link
 * @param {string=} launchUrl
 */
export function setLaunchLink(link, launchUrl = '') {
  if (link.getAttribute('href') === launchUrl) return
  link.href = launchUrl
  link.target = /^https?:/.test(launchUrl) ? '_blank' : ''
}
