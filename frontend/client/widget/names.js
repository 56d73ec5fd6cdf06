// What is shown of a name. hub/provider/text.go has the same rule; miniprogram/lib/profile.js too.

const FLAG_OR_INVISIBLE = /(\u{1F3F4}[\u{E0030}-\u{E0039}\u{E0061}-\u{E007A}]{1,6}\u{E007F})|(?![\u200c\u200d])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Cs}]/gu
const BLANK_START = /^[\s\u2800\p{Mn}\p{Me}\p{Default_Ignorable_Code_Point}]+/u
const BLANK_END = /[\s\u115f\u1160\u2800\u3164\uffa0]+$/u
const MAX_INITIAL = 24 // UTF-16 units; a letter may have any number of marks

/**
 * Removes what is invisible, but for the letters of a flag. Returns '' if nothing would be visible.
 *
 * @param {string=} name
 */
export const cleanName = (name = '') => name.replace(FLAG_OR_INVISIBLE, (_, flag) => flag ?? '').replace(BLANK_START, '').replace(BLANK_END, '')

/**
 * Returns the first letter of a name as people see it: a flag or a family is one, of several characters.
 *
 * @param {string} name
 */
export function initialOf(name) {
  const [{ segment = '' } = {}] = Intl.Segmenter ? new Intl.Segmenter().segment(name) : []
  return (segment && segment.length <= MAX_INITIAL ? segment : [...name][0] ?? '').toUpperCase()
}
