const KEY = 'profile'

/** The name and picture that the user has chosen to show on computers, {} where none was. */
function profile(wx) {
  return wx.getStorageSync(KEY) || {}
}

function keepProfile(wx, { nickname, avatar_url }) {
  const kept = {}
  if (nickname) kept.nickname = nickname
  if (avatar_url) kept.avatar_url = avatar_url
  wx.setStorageSync(KEY, kept)
}

/** A name as the hub takes it: at most 64 characters. */
function cleanName(text) {
  return Array.from(String(text || '').trim()).slice(0, 64).join('')
}

/** Uploads a chosen picture; gives its https address, '' where that did not work. */
function upload(wx, url, filePath) {
  return new Promise((done) => {
    wx.uploadFile({
      url,
      filePath,
      name: 'file',
      success: ({ statusCode, data }) => done(statusCode < 300 ? address(data) : ''),
      fail: () => done(''),
    })
  })
}

function address(text) {
  try {
    const { url } = JSON.parse(text)
    return /^https:\/\//.test(url) && url.length <= 512 ? url : ''
  } catch (err) {
    return ''
  }
}

module.exports = { profile, keepProfile, cleanName, upload }
