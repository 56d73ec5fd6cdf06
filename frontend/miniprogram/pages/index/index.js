const config = require('../../config')
const { speak } = require('../../lib/language')
const { ticketFromScan } = require('../../lib/launch')
const { cleanName, keepProfile, profile, upload } = require('../../lib/profile')

Page({
  data: { said: {}, nickname: '', avatar: '', upload: false, note: '' },

  onLoad() {
    const { nickname = '', avatar_url: avatar = '' } = profile(wx)
    this.setData({ said: speak(wx), nickname, avatar, upload: Boolean(config.uploadURL) })
    wx.setNavigationBarTitle({ title: this.data.said.title })
  },

  // From the camera alone: a code in the album is one that somebody has sent.
  scan() {
    wx.scanCode({
      onlyFromCamera: true,
      scanType: ['qrCode', 'wxCode'],
      success: (read) => {
        const ticket = ticketFromScan(read)
        if (!ticket) return this.setData({ note: this.data.said.foreign })
        getApp().globalData.scanned = ticket
        this.setData({ note: '' })
        wx.navigateTo({ url: '/pages/confirm/confirm' })
      },
      fail: () => {}, // the user has gone back
    })
  },

  async chooseAvatar({ detail }) {
    const avatar = await upload(wx, config.uploadURL, detail.avatarUrl)
    this.setData(avatar ? { avatar } : { note: this.data.said.uploadFailed })
  },

  // By the form, not by the typing: WeChat empties a name that it does not like.
  save({ detail }) {
    const nickname = cleanName(detail.value.nickname)
    keepProfile(wx, { nickname, avatar_url: this.data.avatar })
    this.setData({ nickname, note: this.data.said.saved })
  },

  forget() {
    keepProfile(wx, {})
    this.setData({ nickname: '', avatar: '', note: this.data.said.forgotten })
  },
})
