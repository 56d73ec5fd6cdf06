// Package wechat is a client of WeChat's API: it exchanges one-time codes for
// identities and fetches mini-program codes.
//
// It owns the calls to WeChat's API host, their limits on time and size, and the
// mapping of WeChat's error numbers to a [Kind] that the rest of the program acts
// on. Each call is one file; call.go and answer.go hold the shared part.
//
// Three rules hold for every call:
//
//   - A one-time code is sent in at most one HTTP exchange. The first exchange that
//     reaches WeChat spends the code, answered or not.
//   - WeChat requires the app secret and the code in the URL. Neither appears in an
//     error or in the printed form of a value of this package.
//   - Answers are bounded, and their content type is ignored.
//
// It does not own the meaning of an [Identity] (hub/ticket), the HTTP answer to the
// phone for an [Error] (api), rate limits, or retries: a phone retries with a fresh
// code. The caller stores the shared access_token ([TokenStore]). The package never
// keeps a session_key or a refresh_token.
//
// [loginhub/wechat/wechattest] imitates WeChat for tests.
package wechat
