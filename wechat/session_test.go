package wechat_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"loginhub/wechat"
	"loginhub/wechat/wechattest"
)

func asError(t *testing.T, err error) *wechat.Error {
	t.Helper()
	var e *wechat.Error
	if !errors.As(err, &e) {
		t.Fatalf("%T is no *wechat.Error: %v", err, err)
	}
	return e
}

func TestSession_Identity(t *testing.T) {
	w := newWeChat(t)
	m := newClient(t, w.URL)
	want := wechat.Identity{
		AppID: appID, OpenID: w.OpenID(appID, "alice"), UnionID: w.UnionID(appID, "alice"),
	}
	odd := map[string]wechattest.Fault{
		"as WeChat does it":         {},
		"errcode 0 in the success":  {ZeroErrcode: true},
		"errcode \"0\" in a string": {StringErrcode: true},
	}
	for name, fault := range odd {
		t.Run(name, func(t *testing.T) {
			w.Fail(fault)
			got, err := m.Session(t.Context(), w.Code(appID, "alice"))
			if err != nil || got != want {
				t.Errorf("got %+v, %v, want %+v", got, err, want)
			}
		})
	}
	t.Run("without a unionid", func(t *testing.T) {
		w.Fail(wechattest.Fault{NoUnionID: true})
		got, err := m.Session(t.Context(), w.Code(appID, "alice"))
		if err != nil || got.OpenID != want.OpenID || got.UnionID != "" {
			t.Errorf("got %+v, %v", got, err)
		}
	})
}

func TestSession_Request(t *testing.T) {
	requests := make(chan string, 1)
	url := rawServer(t, func(request string) string {
		requests <- request
		return "HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n{\"openid\":\"o\"}"
	})
	if _, err := newClient(t, url+"/via/proxy/").Session(t.Context(), "a b&js_code=other#%"); err != nil {
		t.Fatal(err)
	}
	request := <-requests
	line, headers, _ := strings.Cut(request, "\r\n")
	want := "GET /via/proxy/sns/jscode2session?appid=" + appID +
		"&grant_type=authorization_code&js_code=a+b%26js_code%3Dother%23%25" +
		"&secret=" + secretCore + "%26a%3Db%2Bc%2541%2F%C3%A9 HTTP/1.1"
	if line != want {
		t.Errorf("sent %s\nwant %s", line, want)
	}
	for _, unwanted := range []string{"Content-Length", "Transfer-Encoding", "Content-Type", "Referer"} {
		if strings.Contains(headers, unwanted) {
			t.Errorf("sent %s: the body that keeps the request from being repeated must not show", unwanted)
		}
	}
}

func TestSession_ErrorKinds(t *testing.T) {
	w := newWeChat(t)
	m := newClient(t, w.URL)
	tests := []struct {
		kind  wechat.Kind
		wait  time.Duration
		codes []int
	}{
		{wechat.KindCode, 0, []int{40029, 40163, 42003, 41008}},
		{wechat.KindBlocked, 0, []int{40226}},
		{wechat.KindBusy, 2 * time.Second, []int{-1, 12345, -2, 40003}}, // the last three are unknown to this package
		{wechat.KindBusy, time.Second, []int{44990}},
		{wechat.KindBusy, time.Minute, []int{45011, 44991}},
		{wechat.KindQuota, 10 * time.Minute, []int{45009, 44993}},
		{wechat.KindConfig, 0, []int{
			40001, 40002, 40013, 40125, 40164, 40243, 41002, 41004, 43002, 43003, 44002, 45035, 47001,
			48001, 48004, 50002, 50004, 50007, 61004, 89503, 89506, 89507,
		}},
	}
	for _, tt := range tests {
		for _, code := range tt.codes {
			for _, asString := range []bool{false, true} {
				w.Fail(wechattest.Fault{Errcode: code, StringErrcode: asString})
				e := refusal(t.Context(), t, m, w.Code(appID, "alice"))
				if e.Kind != tt.kind || e.Code != code || e.RetryAfter != tt.wait || e.Op != "jscode2session" {
					t.Errorf("errcode %d (string: %t): %+v, want kind %v, wait %v", code, asString, *e, tt.kind, tt.wait)
				}
				if alarm := e.Kind == wechat.KindConfig || e.Kind == wechat.KindQuota; e.Kind.NeedsOperator() != alarm {
					t.Errorf("errcode %d: alarm %t", code, !alarm)
				}
			}
		}
	}
}

func TestSession_UsedAndForeignCodes(t *testing.T) {
	w := newWeChat(t)
	w.Register(wechattest.App{ID: "wxother", Secret: "x"})
	m := newClient(t, w.URL)
	code := w.Code(appID, "alice")
	if _, err := m.Session(t.Context(), code); err != nil {
		t.Fatal(err)
	}
	for number, code := range map[int]string{40163: code, 40029: w.Code("wxother", "alice")} {
		if e := refusal(t.Context(), t, m, code); e.Kind != wechat.KindCode || e.Code != number {
			t.Errorf("got %v (%v), want %d", e, e.Kind, number)
		}
	}
	calls := w.Calls()
	for _, code := range []string{"", strings.Repeat("x", 513)} {
		if e := refusal(t.Context(), t, m, code); e.Kind != wechat.KindCode {
			t.Errorf("%d bytes: %v (%v)", len(code), e, e.Kind)
		}
	}
	if w.Calls() != calls {
		t.Error("WeChat was asked about what cannot be a code")
	}
}

func TestSession_InvalidAnswers(t *testing.T) {
	tests := map[string]struct {
		status int
		body   string
	}{
		"no body":               {200, ""},
		"only space":            {200, " \r\n"},
		"HTML":                  {200, "<html>{}</html>"},
		"HTML with 502":         {502, "<html></html>"},
		"JSON with 500":         {500, `{"openid":"o123"}`}, // WeChat always answers 200
		"JSON with 204":         {204, ""},
		"JSON with 302":         {302, `{"openid":"o123"}`},
		"JSON with 404":         {404, `{"openid":"o123"}`},
		"cut short":             {200, `{"session_key":"x","openid":"o1`},
		"JSON, then more":       {200, `{"openid":"o123"}{}`},
		"null":                  {200, `null`},
		"an array":              {200, `["openid"]`},
		"no openid":             {200, `{"session_key":"x"}`},
		"empty openid":          {200, `{"openid":""}`},
		"openid null":           {200, `{"openid":null}`},
		"openid a number":       {200, `{"openid":12}`},
		"openid with a newline": {200, `{"openid":"o\n123"}`},
		"openid too long":       {200, `{"openid":"` + strings.Repeat("o", 129) + `"}`},
		"unionid with a space":  {200, `{"openid":"o123","unionid":"o 1"}`},
		"errcode no number":     {200, `{"errcode":"many","openid":"o123"}`},
		"errcode empty":         {200, `{"errcode":"","openid":"o123"}`},
		"errcode an object":     {200, `{"errcode":{},"openid":"o123"}`},
		"errcode a fraction":    {200, `{"errcode":0.5,"openid":"o123"}`},
		"over 64 KiB":           {200, `{"openid":"o123"}` + strings.Repeat(" ", 64<<10)},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			m := newClientVia(t, "", answering(tt.status, tt.body))
			e := refusal(t.Context(), t, m, "0123456789")
			if e.Kind != wechat.KindBusy || e.Code != 0 || e.RetryAfter <= 0 {
				t.Errorf("got %+v, want busy", *e)
			}
		})
	}
}

func TestSession_UnusualAnswers(t *testing.T) {
	id := wechat.Identity{AppID: appID, OpenID: "o123"}
	for _, body := range []string{
		"\n\t {\"openid\":\"o123\"} \n",
		`{"errcode":null,"errmsg":null,"openid":"o123","unionid":null}`,
		`{"errcode":" 0 ","errmsg":{"odd":1},"openid":"o123","new":[{}]}`,
		`{"openid":"o123","session_key":{"odd":"type"}}`, // no field reads it
	} {
		got, err := newClientVia(t, "", answering(200, body)).Session(t.Context(), "0123456789")
		if err != nil || got != id {
			t.Errorf("%s: got %+v, %v", body, got, err)
		}
	}
	m := newClientVia(t, "", answering(200, `{"errcode":40029,"errmsg":["odd"],"openid":"o123"}`))
	if e := refusal(t.Context(), t, m, "0123456789"); e.Kind != wechat.KindCode || e.Code != 40029 {
		t.Errorf("an errmsg of an odd type hides the errcode: %+v", *e)
	}
}

// answering returns a RoundTripper with one constant answer.
func answering(status int, body string) roundTrip {
	return func(r *http.Request) (*http.Response, error) {
		return &http.Response{
			Status: fmt.Sprint(status), StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
			Header:  http.Header{"Content-Type": {"image/png"}}, // wrong on purpose
			Body:    io.NopCloser(strings.NewReader(body)),
			Request: r,
		}, nil
	}
}
