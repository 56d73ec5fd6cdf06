// Change these values for your own mini-program.
module.exports = {
  // Your hub. In WeChat's console it must be on the list of request domains.
  hub: 'https://login.example.com',
  // Receives an avatar (multipart, field "file") and answers {"url":"https://…"}. If empty, the user
  // cannot choose an avatar: without an upload it is a path on this phone that others cannot read.
  uploadURL: '',
}
