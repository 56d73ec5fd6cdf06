package wechat

import "time"

// Kind classifies failures by the reaction that they need.
type Kind int

// The kinds. KindBusy is the zero value: an unknown failure is most likely
// temporary.
const (
	// KindBusy: WeChat or the network failed. A fresh code may succeed after
	// RetryAfter; this one may be spent.
	KindBusy Kind = iota
	// KindCode: WeChat refuses the code as unknown, of another application,
	// expired or used. The phone needs a fresh one.
	KindCode
	// KindBlocked: WeChat flags the user as high risk. No retry.
	KindBlocked
	// KindConfig: WeChat refuses the application or the caller's address. No
	// user can log in until the operator acts.
	KindConfig
	// KindQuota: a daily quota is used up. For the user it is like KindBusy. It
	// lasts until WeChat's reset or the operator's clear_quota, so the operator
	// must act.
	KindQuota
	// KindGuest: the user looks at a snapshot of the page, for which WeChat invents a
	// user. They have to open the page itself.
	KindGuest
	// KindStale: the access_token is no longer valid. It is renewed and the call
	// repeated once; a second failure becomes KindConfig.
	KindStale
	// KindRefused: the user accepts no message, or is none of this application's. No retry.
	KindRefused
)

// String returns the kind as a word for logs and metric labels.
func (k Kind) String() string {
	switch k {
	case KindCode:
		return "code"
	case KindBlocked:
		return "blocked"
	case KindConfig:
		return "config"
	case KindQuota:
		return "quota"
	case KindStale:
		return "stale"
	case KindGuest:
		return "guest"
	case KindRefused:
		return "refused"
	default:
		return "busy"
	}
}

// NeedsOperator reports whether only the operator can remove the cause.
func (k Kind) NeedsOperator() bool { return k == KindConfig || k == KindQuota }

const (
	defaultRetry = 2 * time.Second
	minutely     = time.Minute
	// A daily quota may last for hours, but an operator can clear it.
	daily = 10 * time.Minute
)

// classify returns kind and retry time of an errcode of a call that carries appid
// and app secret. (With an access_token, 40001 means that the token is stale.)
//
// https://developers.weixin.qq.com/doc/channels/API/basics/commErrCode.html
func classify(code int) (Kind, time.Duration) {
	switch code {
	case 40029, // unknown, foreign or expired
		40163, // used
		42003, // timed out
		41008: // missing: WeChat treats the sent code as blank
		return KindCode, 0
	case 40226: // user blocked
		return KindBlocked, 0
	case 45011, 44991: // per minute
		return KindBusy, minutely
	case 44990: // per second
		return KindBusy, time.Second
	case 45009, 44993: // per day
		return KindQuota, daily
	case 40001, 40125, 41004, 40243, // app secret wrong, missing, frozen
		40013, 41002, // appid wrong, missing
		40164, 61004, 45035, // caller's address not whitelisted
		89503, 89506, 89507, // caller's address waits for the admin, or was refused
		48001, 48004, 50002, 50004, 50007, // call not granted, banned; account frozen
		40097, 40129, 40169, 41030, 85096, // a mini-program code's page or scene
		40052, 40053, // an official account's code: its action
		40002, 43002, 43003, 44002, 47001: // malformed request, ours or a proxy's
		return KindConfig, 0
	default: // -1 and unknown numbers
		return KindBusy, defaultRetry
	}
}

// classifyMessage returns kind and retry time of an errcode of a subscribe message.
func classifyMessage(code int) (Kind, time.Duration) {
	switch code {
	case 43101, // no permission of the user, or it is used up
		40003: // openid unknown, or of another application
		return KindRefused, 0
	case 43108: // another message to the same user at this moment
		return KindBusy, 5 * time.Second
	case 40037, // template unknown
		47003,        // a field's value
		41030,        // page not published
		43107, 43116, // messages, or the template, banned
		45168: // a word that WeChat does not accept
		return KindConfig, 0
	}
	return classify(code)
}

// Known reports whether this package or WeChat's general table (-1, busy) lists the
// errcode. The list is short, so that the number can be a metric's label.
func Known(code int) bool {
	kind, wait := classifyMessage(code)
	return code == -1 || stale(code) || kind != KindBusy || wait != defaultRetry
}

// KindOf returns the kind of an errcode of the operation op.
func KindOf(op string, code int) Kind {
	switch op {
	case OpCode, OpScene, OpFollower, OpPhone, OpMessage, OpTemplates: // these carry an access_token
		if stale(code) {
			return KindStale
		}
	}
	kind, _ := classifyCall(op, code)
	return kind
}

// classifyCall returns kind and retry time of an errcode of the operation op.
func classifyCall(op string, code int) (Kind, time.Duration) {
	if op == OpMessage {
		return classifyMessage(code)
	}
	return classify(code)
}

// stale reports whether an errcode says that the access_token is invalid.
func stale(code int) bool { return code == 40001 || code == 40014 || code == 42001 }
