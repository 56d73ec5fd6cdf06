package alipay_test

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"

	"loginhub/hub/provider"
	"loginhub/hub/provider/alipay"
	"loginhub/hub/provider/alipay/alipaytest"
	"loginhub/hub/provider/providertest"
)

func fields(change map[string]string) map[string]string {
	all := map[string]string{"app_id": alipaytest.AppID, "private_key": alipaytest.PrivateKey, "public_key": alipaytest.PublicKey, "api_url": "URL", "authorize_url": "URL"}
	maps.Copy(all, change)
	return all
}

func open(t *testing.T, change map[string]string) (*alipaytest.Server, *provider.Provider, provider.Config) {
	t.Helper()
	s := alipaytest.New(providertest.Options{Host: providertest.Host})
	p, c := providertest.Open(t, alipay.Kind(), s, fields(change))
	return s, p, c
}

func TestAlipay_Users(t *testing.T) {
	t.Parallel()
	s, p, _ := open(t, map[string]string{"scope": "auth_user", "mini_program_page": "pages/confirm/confirm"})
	const li, veteran = "alipay:" + alipaytest.AppID + ":0li", "alipay:2088000000000001"
	for what, c := range map[string]struct {
		by   provider.Exchanger
		code provider.Credential
		sub  string
		name string
	}{
		"page":              {p.Redirect, providertest.Visit(t, p.Redirect, "auth_code", "li"), li, "li"},
		"page, user_id":     {p.Redirect, providertest.Visit(t, p.Redirect, "auth_code", alipaytest.Veteran), veteran, alipaytest.Veteran},
		"in the app":        {p.InApp, providertest.Visit(t, p.InApp, "auth_code", "li"), li, ""},
		"mini-program":      {p.Code, provider.Credential{Code: s.AuthCode("li")}, li, ""},
		"without a profile": {p.Redirect, provider.Credential{Code: s.AuthCode("li")}, li, ""},
	} {
		by, err := c.by.Exchange(t.Context(), c.code)
		if sub, _ := by.Sub(""); err != nil || sub != c.sub || by.Nickname != c.name || (by.Picture == "") != (c.name == "") {
			t.Errorf("%s: %+v is %s, %v", what, by, sub, err)
		}
		if _, err := c.by.Exchange(t.Context(), c.code); !errors.Is(err, provider.ErrCodeInvalid) {
			t.Errorf("%s, a used code: %v", what, err)
		}
	}
	if p.Launch != "alipays://platformapi/startapp?appId="+alipaytest.AppID+"&page=pages%2Fconfirm%2Fconfirm&query=scene%3D{ticket}" {
		t.Error(p.Launch)
	}
	if !p.InAgent("Mozilla/5.0 (Linux; U; Android 15) Mobile Safari/537.36 NebulaSDK/1.8 AlipayDefined(nt:WIFI) AliApp(AP/10.5) AlipayClient/10.5") || p.InAgent("Mozilla/5.0 MicroMessenger/8.0") {
		t.Error("InAgent")
	}
}

func TestAlipay_Errors(t *testing.T) {
	t.Parallel()
	s, p, _ := open(t, nil)
	const node = "alipay_system_oauth_token_response"
	user := `{"user_id":"2088000000000002","access_token":"a"}`
	answer := func(body string, want error) providertest.FaultCase {
		return providertest.FaultCase{Path: alipaytest.Gateway, Fault: providertest.Fault{Body: body}, Want: want}
	}
	cases := map[string]providertest.FaultCase{
		"hangs":               {Path: alipaytest.Gateway, Fault: providertest.Fault{Hang: true}, Want: provider.ErrProviderUnavailable},
		"lost":                {Path: alipaytest.Gateway, Fault: providertest.Fault{Lose: true}, Want: provider.ErrProviderUnavailable},
		"proxy":               {Path: alipaytest.Gateway, Fault: providertest.Fault{Status: 502}, Want: provider.ErrProviderUnavailable},
		"signed":              answer(s.Signed(node, user), nil),
		"blanks are signed":   answer(s.Signed(node, `{ "open_id" : "a\/b" , "code":10000 }`), nil),
		"no signature":        answer(`{"`+node+`":`+user+`}`, provider.ErrProviderMisconfigured),
		"another user":        answer(strings.Replace(s.Signed(node, user), "0002", "0003", 1), provider.ErrProviderMisconfigured),
		"a blank is added":    answer(strings.Replace(s.Signed(node, user), ":{", ":{ ", 1), provider.ErrProviderMisconfigured),
		"another method":      answer(s.Signed("alipay_user_info_share_response", user), provider.ErrProviderUnavailable),
		"two nodes":           answer(strings.Replace(s.Signed(node, user), "{", `{"x_response":{},`, 1), provider.ErrProviderUnavailable),
		"no id":               answer(s.Signed(node, `{"access_token":"a"}`), provider.ErrIdentityIncomplete),
		"error in the node":   answer(s.Signed(node, `{"code":"40002","msg":"x","sub_code":"isv.code-invalid"}`), provider.ErrCodeInvalid),
		"unsigned error":      answer(`{"error_response":{"code":"40002","sub_code":"isv.invalid-app-id"}}`, provider.ErrProviderMisconfigured),
		"error without code":  answer(`{"error_response":{}}`, provider.ErrProviderUnavailable),
		"error with 10000":    answer(`{"error_response":{"code":"10000"}}`, provider.ErrProviderUnavailable),
		"HTML":                answer(`<html>`, provider.ErrProviderUnavailable),
		"the answer is empty": answer(`{}`, provider.ErrProviderUnavailable),
	}
	for code, want := range map[string]error{"20000": provider.ErrProviderUnavailable, "40001": provider.ErrProviderMisconfigured, "40003": provider.ErrProviderMisconfigured,
		"40005": provider.ErrProviderUnavailable, "40006": provider.ErrProviderMisconfigured, "99999": provider.ErrProviderUnavailable} {
		cases[code] = answer(s.Signed("error_response", fmt.Sprintf(`{"code":%q,"msg":"no","sub_code":"isv.other"}`, code)), want)
	}
	providertest.CheckFaults(t, p.Redirect, "auth_code", &s.Traffic, alipaytest.Gateway, []string{alipaytest.PrivateKey[:40]}, cases)
}

// TestAlipay_Keys: keys are PEM or bare base64, private ones PKCS #1 or PKCS #8.
func TestAlipay_Keys(t *testing.T) {
	t.Parallel()
	pkcs8, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(alipaytest.PrivateKey, "\n", ""))
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(pkcs8)
	if err != nil {
		t.Fatal(err)
	}
	key := parsed.(*rsa.PrivateKey)
	pkcs1 := x509.MarshalPKCS1PrivateKey(key)
	armored := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	for name, c := range map[string]struct{ private, public, refused string }{
		"PEM, PKCS #8":        {armored("PRIVATE KEY", pkcs8), "-----BEGIN PUBLIC KEY-----\n" + alipaytest.PublicKey + "\n-----END PUBLIC KEY-----", ""},
		"PEM, PKCS #1":        {armored("RSA PRIVATE KEY", pkcs1), alipaytest.PublicKey, ""},
		"base64, PKCS #1":     {base64.StdEncoding.EncodeToString(pkcs1), alipaytest.PublicKey, ""},
		"half a private key":  {alipaytest.PrivateKey[:400], alipaytest.PublicKey, "private_key"},
		"public as private":   {alipaytest.PublicKey, alipaytest.PublicKey, "private_key"},
		"private as public":   {alipaytest.PrivateKey, alipaytest.PrivateKey, "public_key"},
		"public, PKCS #1":     {alipaytest.PrivateKey, armored("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&key.PublicKey)), ""},
		"PEM without an end":  {"-----BEGIN PRIVATE KEY-----\n" + alipaytest.PrivateKey, alipaytest.PublicKey, "private_key"},
		"no key, but letters": {"not a key!", alipaytest.PublicKey, "private_key"},
	} {
		f := &provider.Fields{ID: "it", Values: fields(map[string]string{"private_key": c.private, "public_key": c.public, "api_url": "", "authorize_url": ""})}
		alipay.Kind().Read(f)
		if err := f.Err(); (err == nil) != (c.refused == "") || err != nil && !strings.HasPrefix(err.Error(), c.refused) {
			t.Errorf("%s: %v", name, err)
		}
	}
	f := &provider.Fields{ID: "it", Values: fields(map[string]string{"app_id": "wx1", "scope": "all", "mini_program_page": "/a?b", "api_url": "ftp://x"})}
	alipay.Kind().Read(f)
	for _, field := range []string{"app_id", "scope", "mini_program_page", "api_url"} {
		if err := f.Err(); err == nil || !strings.Contains(err.Error(), field+": ") {
			t.Errorf("%s is not named in %v", field, err)
		}
	}
}

func TestAlipay_Check(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change map[string]string
		want   provider.Severity
		text   string
	}{
		"good":           {nil, provider.OK, "accepts"},
		"unknown app":    {map[string]string{"app_id": "2021000000000002"}, provider.Fail, "isv.invalid-app-id"},
		"own public key": {map[string]string{"public_key": alipaytest.AppPublicKey}, provider.Fail, "支付宝公钥"},
	} {
		_, _, config := open(t, c.change)
		found := config.Check(t.Context(), provider.Env{ID: "it", PublicURL: "https://login.example.com"})
		if len(found) != 1 || found[0].Severity != c.want || !strings.Contains(found[0].Text, c.text) || strings.Contains(fmt.Sprint(found, config), alipaytest.PrivateKey[:40]) {
			t.Errorf("%s: %v", name, found)
		}
	}
}
