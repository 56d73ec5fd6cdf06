const config = require('../../config')
const { createApi } = require('../../lib/api')
const { chooseLanguage, messagesFor } = require('../../lib/language')
const { ticketFromQuery } = require('../../lib/launch')

// What `lib/api` answers means something else here: the login is over.
const SCREENS = { gone: 'noticeOld', closed: 'noticeOther' }
const RETRY_SCREENS = ['busy', 'trouble', 'timeout', 'offline']

/** The page of the message after a login: was it you? */
Page({
  data: { messages: {}, screen: 'ask', busy: false, sign: 'odd', headline: '', hint: '', retry: false, wait: false },

  onLoad(query) {
    const messages = messagesFor(wx)
    this.setData({ messages })
    wx.setNavigationBarTitle({ title: messages.noticeTitle })
    const ticket = ticketFromQuery(query)
    if (!ticket) return this.show({ screen: 'gone' })
    this.api = createApi({ wx, hub: config.hub, ticket, language: chooseLanguage(wx) })
    return undefined
  },

  onUnload() {
    clearTimeout(this.retryTimer)
  },

  mine() {
    if (wx.exitMiniProgram) wx.exitMiniProgram({ fail: this.home })
    else this.home()
  },

  async notMine() {
    if (this.data.busy) return
    this.setData({ busy: true })
    const answer = await this.api.dispute()
    this.setData({ busy: false })
    this.show(answer)
  },

  home() {
    wx.reLaunch({ url: '/pages/index/index' })
  },

  show({ screen: name, detail, retryAfter }) {
    const screen = SCREENS[name] || name
    const [headline, hint] = this.data.messages[screen]
    const retry = RETRY_SCREENS.includes(screen)
    this.setData({
      screen, headline, retry,
      hint: screen === 'refused' ? detail : hint,
      sign: screen === 'disputed' ? 'good' : 'odd',
      wait: retry && retryAfter > 0,
    })
    if (this.data.wait) this.retryTimer = setTimeout(() => this.setData({ wait: false }), retryAfter * 1000)
  },
})
