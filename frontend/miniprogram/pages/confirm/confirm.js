const config = require('../../config')
const { createApi } = require('../../lib/api')
const { formatLogin, formatSeconds } = require('../../lib/format')
const { chooseLanguage, messagesFor } = require('../../lib/language')
const { frameFromQuery, ticketFromQuery } = require('../../lib/launch')
const { askForNotice } = require('../../lib/notice')
const { loadProfile } = require('../../lib/profile')
const { assessRisk } = require('../../lib/risk')

const RETRY_SCREENS = ['busy', 'trouble', 'timeout', 'offline']
const SIGNS = { confirmed: 'good', rejected: 'bad' }

Page({
  data: {
    messages: {}, screen: 'loading', busy: false,
    asks: '', site: '', hosts: '', ip: '', place: '', far: false, same: '', browser: '', os: '', time: '', left: '', name: '',
    choices: [], chosen: '', phone: '', phoneHint: '', warning: '', strong: false,
    sign: 'odd', headline: '', hint: '', retry: false, wait: false, // for the outcome's screen
  },

  onLoad(query) {
    const messages = messagesFor(wx)
    this.setData({ messages })
    wx.setNavigationBarTitle({ title: messages.title })
    const { scene, apiCategory } = wx.getEnterOptionsSync()
    const { globalData } = getApp()
    const ticket = globalData.scannedTicket || ticketFromQuery(query)
    const frame = globalData.scannedTicket ? globalData.scannedFrame : frameFromQuery(query)
    // This mini-program's own camera read the code, so it was not forwarded.
    this.scene = globalData.scannedTicket ? 1011 : scene
    globalData.scannedTicket = globalData.scannedFrame = ''
    if (apiCategory === 'browseOnly') return this.show({ screen: 'browse' })
    if (!ticket) return this.show({ screen: 'none' })
    this.api = createApi({ wx, hub: config.hub, ticket, frame, language: chooseLanguage(wx) })
    return this.run(() => this.api.scan(loadProfile(wx)))
  },

  onUnload() {
    clearInterval(this.countdown)
    clearTimeout(this.retryTimer)
  },

  confirm() {
    if (this.data.screen !== 'consent') return undefined
    if (this.data.choices.length && !this.data.chosen) return undefined
    return this.confirmLogin()
  },

  // WeChat's button getPhoneNumber: without a code the user has declined, or WeChat gives none.
  confirmWithPhone({ detail }) {
    if (this.data.screen !== 'consent') return undefined
    if (!detail.code) return this.show({ screen: 'phone' })
    return this.confirmLogin(detail.code)
  },

  // Asks first, because WeChat asks only in the tap itself. The login does not depend on the answer.
  async confirmLogin(phoneCode) {
    if (this.data.busy) return undefined
    this.setData({ busy: true })
    const notice = await askForNotice(wx, this.template)
    this.setData({ busy: false })
    return this.run(() => this.api.confirm(loadProfile(wx), this.data.chosen || undefined, phoneCode, notice))
  },

  reject() {
    return this.run(() => this.api.reject())
  },

  retry() {
    return this.run(this.lastCall)
  },

  choose({ currentTarget }) {
    this.setData({ chosen: currentTarget.dataset.number })
  },

  home() {
    wx.reLaunch({ url: '/pages/index/index' })
  },

  async run(call) {
    if (this.data.busy) return
    this.lastCall = call
    this.setData({ busy: true })
    const answer = await call()
    this.setData({ busy: false })
    this.show(answer)
  },

  show(answer) {
    if (answer.screen === 'phone') { // the user can tap again
      this.setData({ phoneHint: this.data.messages.phoneDeclined })
      return
    }
    clearInterval(this.countdown)
    if (answer.screen === 'consent') this.consent(answer)
    else this.outcome(answer)
  },

  consent({ login, choices, expiresIn, phone, template }) {
    const { messages } = this.data
    this.template = template
    const warning = assessRisk(this.scene, login)
    this.setData(Object.assign({
      screen: 'consent', choices, chosen: '', phone, phoneHint: '',
      name: loadProfile(wx).nickname || '',
      warning: messages.risks[warning] || '',
      strong: /Strong$/.test(warning),
    }, formatLogin(login, messages)))
    let left = expiresIn * 1000
    let before = Date.now()
    const tick = () => {
      // The timer stops while WeChat is in the background. The clock may be set back, and it counts for a second then.
      const now = Date.now()
      left -= now < before ? 1000 : now - before
      before = now
      this.setData({ left: formatSeconds(Math.max(0, Math.ceil(left / 1000))) })
      // A call under way decides by itself: it may have arrived in time.
      if (left <= 0 && !this.data.busy) this.show({ screen: 'expired' })
    }
    tick()
    this.countdown = setInterval(tick, 1000)
  },

  outcome({ screen, detail, retryAfter, phone }) {
    const [headline, text] = this.data.messages[screen]
    const hint = screen === 'confirmed' && phone ? `${text} ${this.data.messages.phoneGiven}${phone}` : text
    const retry = RETRY_SCREENS.includes(screen)
    this.setData({
      screen, headline, retry,
      hint: screen === 'refused' ? detail : hint,
      sign: SIGNS[screen] || 'odd',
      wait: retry && retryAfter > 0, // the button is enabled after the hub's Retry-After
    })
    if (this.data.wait) this.retryTimer = setTimeout(() => this.setData({ wait: false }), retryAfter * 1000)
  },
})
