// As the mini-program has it; a test holds the two together.
export const PICTURE = [1012, 1013, 1048, 1049] // a code in a picture: long press, album
export const LINK = [1007, 1008, 1037, 1065, 1167, 1194, 1286] // card, other mini-program, scheme, link

/** What to warn of beside the usual, by WeChat's launch scene and what the hub says of the login. */
export function risk(scene, { same_ip: same, address_warning: apart }) {
  const kind = PICTURE.includes(scene) ? 'picture' : LINK.includes(scene) ? 'link' : ''
  if (!kind) return apart ? 'networkStrong' : ''
  return same === true ? kind : `${kind}Strong`
}
