const words = require('./words')

/** The tag of the language that WeChat is set to: one of ours, else English. */
function language(wx) {
  const { language: set = '' } = wx.getAppBaseInfo ? wx.getAppBaseInfo() : wx.getSystemInfoSync()
  if (/^zh[_-](tw|hk|mo|hant)/i.test(set)) return 'zh-TW'
  return /^zh/i.test(set) ? 'zh-CN' : 'en'
}

/** Those words. */
function speak(wx) {
  return words[language(wx)]
}

module.exports = { language, speak }
