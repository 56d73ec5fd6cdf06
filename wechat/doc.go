// Package wechat asks WeChat who a one-time code belongs to.
//
// It owns the calls to WeChat's API host, the limits on time and size around
// them, and the reading of WeChat's error numbers into a [Kind] that the rest
// of the program can act on. Every call is one file on the small core in
// call.go and answer.go.
//
// Three things hold for every call here:
//
//   - A one-time code goes out in at most one HTTP exchange. It is spent by the
//     first that reaches WeChat, answered or not, so a second one could only
//     turn a lost answer into "code been used".
//   - WeChat wants app secret and code in the URL. Neither ever leaves this
//     package in an error or through the printing of one of its values.
//   - What WeChat sends is bounded, and its content type is not believed.
//
// It does not own what an [Identity] is good for (hub/ticket), the HTTP answer
// that a phone gets for an [Error] (api), rate limits, or a retry of anything
// with a one-time code: a phone that is told to come back brings a fresh one.
// Where the shared access_token lies is the caller's ([TokenStore]). It keeps no
// session_key and no refresh_token, ever.
//
// The imitation WeChat for tests is in [loginhub/wechat/wechattest].
package wechat
