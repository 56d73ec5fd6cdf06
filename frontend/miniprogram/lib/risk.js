// WeChat's launch scenes that a stranger's code prefers. They are the phone's own word, so they
// are a hint to the one who holds it and no proof to the hub.
const PICTURE = [1012, 1013, 1048, 1049] // a code in a picture: long press, album
const LINK = [1007, 1008, 1037, 1065, 1167, 1194, 1286] // card, other mini-program, scheme, link

/**
 * What to warn of beside the usual: '' or `picture` or `link`, with `Strong` behind it unless the
 * hub says that the computer has the phone's own address; `networkStrong` where a scan looks as
 * it should and the site wants the person warned that the two addresses differ. There is one
 * warning: where the launch is odd too, its words are the stronger ones.
 */
function risk(scene, { same_ip: same, address_warning: apart }) {
  const kind = PICTURE.includes(scene) ? 'picture' : LINK.includes(scene) ? 'link' : ''
  if (!kind) return apart ? 'networkStrong' : ''
  return same === true ? kind : `${kind}Strong`
}

module.exports = { risk, PICTURE, LINK }
