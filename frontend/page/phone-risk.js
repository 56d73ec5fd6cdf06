// As the mini-program has it; a test holds the two together.
export const PICTURE = [1012, 1013, 1048, 1049] // a code in a picture: long press, album
export const LINK = [1007, 1008, 1037, 1065, 1167, 1194, 1286] // card, other mini-program, scheme, link

/** What to warn of beside the usual, by WeChat's launch scene and the comparison of addresses. */
export function risk(scene, sameIP) {
  const kind = PICTURE.includes(scene) ? 'picture' : LINK.includes(scene) ? 'link' : ''
  return kind && sameIP !== true ? `${kind}Strong` : kind
}
