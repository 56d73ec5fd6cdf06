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

/** Returns a nickname that the hub accepts: at most 64 characters. */
function cleanName(text) {
  return Array.from(String(text || '').trim()).slice(0, 64).join('')
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
