const config = require('../../config')
const { createCalls } = require('../../lib/calls')
const { facts, left } = require('../../lib/facts')
const { language, speak } = require('../../lib/language')
const { ticketFromQuery } = require('../../lib/launch')
const { profile } = require('../../lib/profile')
const { risk } = require('../../lib/risk')

const RETRIED = ['busy', 'trouble', 'timeout', 'offline']
const SIGNS = { confirmed: 'good', rejected: 'bad' }

Page({
  data: {
    said: {}, screen: 'loading', busy: false,
    site: '', hosts: '', ip: '', same: '', browser: '', os: '', time: '', left: '', name: '',
    choices: [], chosen: '', warning: '', strong: false,
    sign: 'odd', headline: '', hint: '', retry: false, wait: false, // what an outcome shows
  },

  onLoad(query) {
    const said = speak(wx)
    this.setData({ said })
    wx.setNavigationBarTitle({ title: said.title })
    const { scene, apiCategory } = wx.getEnterOptionsSync()
    const { globalData } = getApp()
    const ticket = globalData.scanned || ticketFromQuery(query)
    // What the camera in here has read has not been forwarded by anybody.
    this.scene = globalData.scanned ? 1011 : scene
    globalData.scanned = ''
    if (apiCategory === 'browseOnly') return this.show({ screen: 'browse' })
    if (!ticket) return this.show({ screen: 'none' })
    this.calls = createCalls({ wx, hub: config.hub, ticket, language: language(wx) })
    return this.run(() => this.calls.scan(profile(wx)))
  },

  onUnload() {
    clearInterval(this.ticking)
    clearTimeout(this.waiting)
  },

  confirm() {
    if (this.data.choices.length && !this.data.chosen) return undefined
    return this.run(() => this.calls.confirm(profile(wx), this.data.chosen || undefined))
  },

  reject() {
    return this.run(() => this.calls.reject())
  },

  retry() {
    return this.run(this.last)
  },

  choose({ currentTarget }) {
    this.setData({ chosen: currentTarget.dataset.number })
  },

  home() {
    wx.reLaunch({ url: '/pages/index/index' })
  },

  async run(call) {
    if (this.data.busy) return
    this.last = call
    this.setData({ busy: true })
    const answer = await call()
    this.setData({ busy: false })
    this.show(answer)
  },

  show(answer) {
    clearInterval(this.ticking)
    if (answer.screen === 'consent') this.consent(answer)
    else this.outcome(answer)
  },

  consent({ login, choices, expiresIn }) {
    const { said } = this.data
    const warning = risk(this.scene, login)
    this.setData(Object.assign({
      screen: 'consent', choices, chosen: '',
      name: profile(wx).nickname || '',
      warning: said.risks[warning] || '',
      strong: /Strong$/.test(warning),
    }, facts(login, said)))
    const end = Date.now() + expiresIn * 1000
    const tick = () => this.setData({ left: left(Math.max(0, Math.ceil((end - Date.now()) / 1000))) })
    tick()
    this.ticking = setInterval(tick, 1000)
  },

  outcome({ screen, detail, retryAfter }) {
    const [headline, hint] = this.data.said[screen]
    const retry = RETRIED.includes(screen)
    this.setData({
      screen, headline, retry,
      hint: screen === 'refused' ? detail : hint,
      sign: SIGNS[screen] || 'odd',
      wait: retry && retryAfter > 0, // the hub said how long: the button comes alive then
    })
    if (this.data.wait) this.waiting = setTimeout(() => this.setData({ wait: false }), retryAfter * 1000)
  },
})
