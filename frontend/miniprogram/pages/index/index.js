const config = require('../../config')
const { messagesFor } = require('../../lib/language')
const { frameFromScan, ticketFromScan } = require('../../lib/launch')
const { cleanName, loadProfile, saveProfile, uploadAvatar } = require('../../lib/profile')

Page({
  data: { messages: {}, nickname: '', avatar: '', upload: false, note: '' },

  onLoad() {
    const { nickname = '', avatar_url: avatar = '' } = loadProfile(wx)
    this.setData({ messages: messagesFor(wx), nickname, avatar, upload: Boolean(config.uploadURL) })
    wx.setNavigationBarTitle({ title: this.data.messages.title })
  },

  // Only from the camera: a code in the album may come from an attacker.
  scan() {
    wx.scanCode({
      onlyFromCamera: true,
      scanType: ['qrCode', 'wxCode'],
      success: (read) => {
        const ticket = ticketFromScan(read)
        if (!ticket) return this.setData({ note: this.data.messages.foreign })
        const { globalData } = getApp()
        globalData.scannedTicket = ticket
        globalData.scannedFrame = frameFromScan(read)
        this.setData({ note: '' })
        wx.navigateTo({ url: '/pages/confirm/confirm' })
      },
      fail: () => {}, // the user went back
    })
  },

  async chooseAvatar({ detail }) {
    const avatar = await uploadAvatar(wx, config.uploadURL, detail.avatarUrl)
    this.setData(avatar ? { avatar } : { note: this.data.messages.uploadFailed })
  },

  // Reads the form's value, not the input events: WeChat clears a nickname that it does not allow.
  save({ detail }) {
    const nickname = cleanName(detail.value.nickname)
    saveProfile(wx, { nickname, avatar_url: this.data.avatar })
    this.setData({ nickname, note: this.data.messages.saved })
  },

  forget() {
    saveProfile(wx, {})
    this.setData({ nickname: '', avatar: '', note: this.data.messages.forgotten })
  },
})
