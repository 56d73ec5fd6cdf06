// This file exists twice, as an ES module (page/risk.js) and as CommonJS (miniprogram/lib/risk.js):
// a mini-program cannot load files from outside. Only the last line differs; a test compares them.

// WeChat's launch scenes that an attacker's code prefers. The phone reports them, so they are a
// warning for its user and no proof for the hub.
const PICTURE_SCENES = [1012, 1013, 1048, 1049] // a code in a picture: long press, album
const LINK_SCENES = [1007, 1008, 1037, 1065, 1167, 1194, 1286] // card, other mini-program, scheme, link

/**
 * Returns the key of the additional warning, '' for none. `picture` and `link` name the launch, with
 * `Strong` appended unless the hub reports that phone and computer have the same address.
 * For an ordinary launch it is `farStrong` if the hub reports that the computer is far away, otherwise
 * `networkStrong` if the addresses differ and the site wants a warning.
 * An unusual launch has priority: its text is the stronger one.
 */
function assessRisk(scene, { same_ip: sameAddress, address_warning: addressesDiffer, far_away: far }) {
  const launch = PICTURE_SCENES.includes(scene) ? 'picture' : LINK_SCENES.includes(scene) ? 'link' : ''
  if (!launch) return far ? 'farStrong' : addressesDiffer ? 'networkStrong' : ''
  return sameAddress === true ? launch : `${launch}Strong`
}

export { assessRisk }
