package wechat

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
)

// envelope holds the fields that every JSON answer may carry beside its payload.
// An errcode that is present and not 0 is a failure.
type envelope struct {
	ErrCode errcode `json:"errcode"`
	ErrMsg  any     `json:"errmsg"` // any: an odd type must not hide the errcode
}

// errcode is a number or, according to some of WeChat's pages, a string. Absent
// and null are 0.
type errcode struct {
	number     int
	unreadable bool // present, but not a number
}

// UnmarshalJSON never fails. It records an unreadable value in e.
func (e *errcode) UnmarshalJSON(b []byte) error {
	*e = errcode{}
	text := string(b)
	if text == "null" {
		return nil
	}
	if unquoted := ""; json.Unmarshal(b, &unquoted) == nil {
		text = strings.TrimSpace(unquoted)
	}
	n, err := strconv.Atoi(text)
	e.number, e.unreadable = n, err != nil
	return nil
}

// decode reads an answer into the struct that into points to. It ignores the
// content type: WeChat sends JSON as text/plain, and gateways send anything.
func (c call) decode(body []byte, into any) error {
	if len(bytes.TrimSpace(body)) == 0 {
		return c.unavailable("empty answer", nil)
	}
	var e envelope
	if err := json.Unmarshal(body, &e); err != nil {
		return c.unavailable("malformed answer", err)
	}
	if e.ErrCode.unreadable {
		return c.unavailable("unreadable errcode", nil)
	}
	if e.ErrCode.number != 0 {
		msg, _ := e.ErrMsg.(string)
		return c.apiError(e.ErrCode.number, msg)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return c.unavailable("malformed answer", err)
	}
	return nil
}
