package alipay

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"time"

	"loginhub/hub/provider"
	"loginhub/hub/provider/httpcall"
)

// The methods of the gateway.
const (
	methodToken = "alipay.system.oauth.token"
	methodUser  = "alipay.user.info.share"
)

// codeSignature is the error code of an answer that Alipay has not signed.
const codeSignature = "signature"

// success is the code of an answer that is no error. Answers of methodToken have none.
const success = "10000"

func (c config) client(e provider.Env) *httpcall.Client {
	return httpcall.New(httpcall.Host{Service: "alipay", Base: c.gateway, Reactions: reactions(), Failure: c.failure, Metrics: e.Calls})
}

// call sends a signed request and decodes the signed answer.
func (l *login) call(ctx context.Context, method string, form url.Values, hidden []string, into any) error {
	beijing := time.FixedZone("", 8*60*60) // Alipay's timestamps, without a time zone database
	for name, value := range map[string]string{"app_id": l.id, "method": method, "format": "JSON", "charset": "utf-8", "sign_type": "RSA2",
		"timestamp": time.Now().In(beijing).Format(time.DateTime), "version": "1.0"} {
		form.Set(name, value)
	}
	if err := l.sign(form); err != nil {
		return err
	}
	return l.client.Do(ctx, httpcall.Call{Name: method, Form: form, Hidden: hidden, Read: func(a httpcall.Answer) error {
		name, node, _ := node(a)
		if name != strings.ReplaceAll(method, ".", "_")+"_response" {
			return errors.New("an answer to another method")
		}
		return json.Unmarshal(node, into)
	}})
}

// node returns the only member of an answer whose name ends in _response, and the
// signature over its bytes as they were sent.
func node(a httpcall.Answer) (name string, node json.RawMessage, signature string) {
	var members map[string]json.RawMessage
	if json.Unmarshal(a.Body, &members) != nil {
		return "", nil, ""
	}
	for member, value := range members {
		if strings.HasSuffix(member, "_response") {
			if name != "" {
				return "", nil, ""
			}
			name, node = member, value
		}
	}
	_ = json.Unmarshal(members["sign"], &signature)
	return name, node, signature
}

// failure reads the error code of an answer. Alipay does not sign an error if it does
// not know the application; nothing else is accepted without a signature, and nothing
// with a wrong one.
func (c config) failure(a httpcall.Answer) (code, text string) {
	name, node, signature := node(a)
	if name == "" {
		return "", "" // not Alipay's: the status or the call's Read refuses it
	}
	var e struct {
		Code    httpcall.Text `json:"code"`
		Msg     string        `json:"msg"`
		SubCode string        `json:"sub_code"`
		SubMsg  string        `json:"sub_msg"`
	}
	if json.Unmarshal(node, &e) != nil {
		return "", ""
	}
	failed := e.Code != "" && e.Code != success || name == "error_response"
	switch {
	case (signature != "" || !failed) && !c.verify(node, signature):
		return codeSignature, "the answer is not signed with the key of public_key"
	case !failed:
		return "", ""
	}
	code, text = string(e.Code), strings.Join([]string{e.Msg, e.SubCode, e.SubMsg}, " ")
	if _, known := reactions()[e.SubCode]; known {
		code = e.SubCode
	}
	if code == "" {
		code = "unreadable"
	}
	return code, text
}

// reactions are those of the table in README.md.
func reactions() map[string]httpcall.Reaction {
	all := map[string]httpcall.Reaction{}
	for reaction, codes := range map[httpcall.Reaction]string{
		httpcall.Code:   "isv.code-invalid",
		httpcall.Config: codeSignature + " 40001 40002 40003 40006 isv.invalid-signature isv.invalid-app-id isv.invalid-timestamp",
		httpcall.Quota:  "40005",
		httpcall.Busy:   "20000 20001 40004",
	} {
		for _, code := range strings.Fields(codes) {
			all[code] = reaction
		}
	}
	return all
}
