App({
  globalData: {
    // The ticket that the camera in this mini-program has just read: the one launch that no
    // link can imitate. Taken once, by the consent page.
    scanned: '',
  },
})
