const STORAGE_KEY = 'profile'

/** Returns the nickname and avatar that the user has saved, {} if none. */
function loadProfile(wx) {
  return wx.getStorageSync(STORAGE_KEY) || {}
}

function saveProfile(wx, { nickname, avatar_url }) {
  const profile = {}
  if (nickname) profile.nickname = nickname
  if (avatar_url) profile.avatar_url = avatar_url
  wx.setStorageSync(STORAGE_KEY, profile)
}

// Characters that show nothing by themselves, as in hub/provider/text.go: spaces, fillers, joiners, marks, tags.
const BLANK_START = /^(?:[\s\u00ad\u0300-\u036f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u20d0-\u20f0\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0]|\udb40[\udc00-\udfff])+/
const BLANK_END = /[\s\u115f\u1160\u2800\u3164\uffa0]+$/

/** Returns a nickname that the hub accepts: at most 64 characters, '' if nothing of it is visible. */
function cleanName(text) {
  const visible = String(text || '').replace(BLANK_START, '').replace(BLANK_END, '')
  return Array.from(visible).slice(0, 64).join('')
}

/** Uploads an image. Resolves to its https URL, '' if the upload did not succeed. */
function uploadAvatar(wx, url, filePath) {
  return new Promise((done) => {
    wx.uploadFile({
      url,
      filePath,
      name: 'file',
      success: ({ statusCode, data }) => done(statusCode < 300 ? avatarURL(data) : ''),
      fail: () => done(''),
    })
  })
}

function avatarURL(text) {
  try {
    const { url } = JSON.parse(text)
    return /^https:\/\//.test(url) && url.length <= 512 ? url : ''
  } catch (err) {
    return ''
  }
}

module.exports = { loadProfile, saveProfile, cleanName, uploadAvatar }
