const messagesByLanguage = require('./messages')

/** Returns the tag of WeChat's language if it is supported, else that of English. */
function chooseLanguage(wx) {
  const { language: setting = '' } = wx.getAppBaseInfo ? wx.getAppBaseInfo() : wx.getSystemInfoSync()
  if (/^zh[_-](tw|hk|mo|hant)/i.test(setting)) return 'zh-TW'
  return /^zh/i.test(setting) ? 'zh-CN' : 'en'
}

/** Returns the messages in that language. */
function messagesFor(wx) {
  return messagesByLanguage[chooseLanguage(wx)]
}

module.exports = { chooseLanguage, messagesFor }
