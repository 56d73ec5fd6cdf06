const ASK_TIMEOUT = 30000 // ms: after it, a login goes on without an answer

/**
 * Asks the user whether the site may send one message of the template. Call it directly in a tap:
 * only then WeChat asks. Resolves to true if the user allows it, and to false in every other case:
 * declined, switched off (20004), banned, or no such call in this version of WeChat.
 */
function askForNotice(wx, template) {
  return new Promise((done) => {
    if (!template || !wx.requestSubscribeMessage) return done(false)
    const late = setTimeout(() => done(false), ASK_TIMEOUT)
    const answer = (allowed) => {
      clearTimeout(late)
      done(allowed)
    }
    return wx.requestSubscribeMessage({
      tmplIds: [template],
      success: (answers) => answer(/^accept/.test(answers[template])),
      fail: () => answer(false),
    })
  })
}

module.exports = { askForNotice }
