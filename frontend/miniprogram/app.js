App({
  globalData: {
    // The ticket that this mini-program's own camera has just read. No link can imitate that. The
    // consent page uses it once.
    scannedTicket: '',
    scannedFrame: '', // of its living code; '' if it has none
  },
})
