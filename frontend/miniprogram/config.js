// What you change to make this mini-program yours.
module.exports = {
  // Your hub; in the console it must be on the list of request domains.
  hub: 'https://login.example.com',
  // Takes a chosen picture (multipart, field "file") and answers {"url":"https://…"}. Without it
  // no picture is asked for: it would be a path on this phone that nobody else can read.
  uploadURL: '',
}
