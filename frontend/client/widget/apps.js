// The apps that people log in with, by kind of provider. Their names are in the catalogue of messages. The
// marks are drawn for this hub and copy no trademark.

import { textFor } from './hints.js'
import { initialOf } from './names.js'

/** @typedef {{scanWith: string, apps: Record<string, string>}} AppMessages */

/** Paths in a square of 24. @type {Record<string, string>} */
const marks = {
  // two speech bubbles
  wechat: 'M9.2 4C5 4 1.8 6.7 1.8 10c0 1.9 1 3.5 2.7 4.6L3.9 17l2.6-1.4c.6.2 1.2.3 1.9.3-.1-.4-.1-.7-.1-1.1 0-3.3 3.1-5.8 6.9-5.8h.8C15.3 6.1 12.6 4 9.2 4zM22.2 14.8c0-2.7-2.7-4.9-6-4.9s-6 2.2-6 4.9 2.7 4.9 6 4.9c.7 0 1.3-.1 1.9-.3l2.2 1.2-.6-2c1.5-.9 2.5-2.3 2.5-3.8z',
  // a briefcase
  wecom: 'M9 3h6a2 2 0 0 1 2 2v2h3a2 2 0 0 1 2 2v3.5H2V9a2 2 0 0 1 2-2h3V5a2 2 0 0 1 2-2zm.5 2.2V7h5V5.2zM2 14h7.5v2h5v-2H22v5a2 2 0 0 1-2 2H4a2 2 0 0 1-2-2z',
  // a flash
  dingtalk: 'M14.5 1.5 4.5 13.5h6l-2 9 11-13h-6.5z',
  // a paper plane
  feishu: 'M2 11.5 22 3l-4 17.5-6-4.2-3.5 4.2-.8-6.7L17.5 7 5.8 13.2z',
  // a coin
  alipay: 'M12 2a10 10 0 1 1 0 20 10 10 0 0 1 0-20zM7.2 6.2l3.6 5.3H8v1.8h3v1.4H8v1.8h3V19h2v-2.5h3v-1.8h-3v-1.4h3v-1.8h-2.8l3.6-5.3h-2.3L12 10.2 9.5 6.2z',
  // a ring with a tail
  qq: 'M11.5 2.5a9 9 0 0 1 7.3 14.2l2.7 2.7-2.1 2.1-2.7-2.7A9 9 0 1 1 11.5 2.5zm0 3a6 6 0 1 0 3 11.2l-2.2-2.2 2.1-2.1 2.3 2.3A6 6 0 0 0 11.5 5.5z',
  // a key
  oidc: 'M7.5 6.5a5.5 5.5 0 0 1 5.2 3.8H22v3.5h-2v3h-3.5v-3h-3.8A5.5 5.5 0 1 1 7.5 6.5zm0 3.5a2 2 0 1 0 0 4 2 2 0 0 0 0-4z',
  // a phone
  app: 'M8 1.5h8a2 2 0 0 1 2 2v17a2 2 0 0 1-2 2H8a2 2 0 0 1-2-2v-17a2 2 0 0 1 2-2zm0 3v13h8v-13zm4 14.2a1.1 1.1 0 1 0 0 2.2 1.1 1.1 0 0 0 0-2.2z',
}

/** Returns the app of a kind of provider: WeChat has several kinds. @param {string} kind */
const appOf = (kind) => (kind.startsWith('wechat_') ? 'wechat' : kind)

/**
 * Returns what people call the app of a kind of provider; '' if the messages have no name for it.
 *
 * @param {string} kind
 * @param {Pick<AppMessages, 'apps'>} messages
 */
export function appName(kind, { apps }) {
  return textFor(apps, appOf(kind)) ?? ''
}

/**
 * Fills the names of apps into the text that says what scans the code, each name once.
 *
 * @param {AppMessages} messages
 * @param {Iterable<string>} appNames
 */
export function fillApps({ scanWith, apps: { comma, or } }, appNames) {
  const all = [...new Set(appNames)]
  const last = all.pop() ?? ''
  const list = all.length ? all.join(comma) + or + last : last
  // Latin letters and Chinese characters have a space between them.
  return scanWith.replace('{apps}', () => list).replace(/([A-Za-z])(?=\p{Script=Han})/gu, '$1 ')
}

/**
 * Returns the mark of a kind of provider, or the first letter of its name.
 *
 * @param {string} kind
 * @param {string} name
 */
export function createMark(kind, name) {
  if (!textFor(marks, appOf(kind))) {
    const letter = document.createElement('span')
    letter.className = 'mark letter'
    letter.setAttribute('aria-hidden', 'true') // older browsers have no property for it
    letter.textContent = initialOf(name)
    return letter
  }
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg')
  const path = document.createElementNS('http://www.w3.org/2000/svg', 'path')
  for (const [key, value] of [['class', 'mark'], ['viewBox', '0 0 24 24'], ['aria-hidden', 'true']]) svg.setAttribute(key, value)
  path.setAttribute('d', marks[appOf(kind)])
  path.setAttribute('fill-rule', 'evenodd')
  svg.append(path)
  return svg
}
