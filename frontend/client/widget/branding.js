/** @import { Branding } from '../types.js' */

// Custom properties of the style sheet, by the fields of a branding.
const COLORS = /** @type {const} */ ([['--hub-accent', 'accent'], ['--hub-on-accent', 'on_accent'], ['--hub-accent-dark', 'accent_dark'], ['--hub-on-accent-dark', 'on_accent_dark']])

/**
 * Shows the logo and the colours of the site, as the hub has them. The site's own custom properties have priority.
 *
 * @param {HTMLElement} card
 * @param {HTMLImageElement} logo
 * @param {Branding=} branding
 * @param {string=} base an absolute URL at the hub
 */
export function showBranding(card, logo, branding = {}, base) {
  for (const [property, field] of COLORS) card.style.setProperty(property, branding[field] ?? '')
  const src = branding.logo ? new URL(branding.logo, base).href : ''
  logo.hidden = !src
  if (src && logo.getAttribute('src') !== src) logo.src = src
}
