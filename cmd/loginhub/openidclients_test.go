package main

import (
	"crypto/sha256"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"loginhub/hub/client"
)

func TestOpenIDClients_Documented(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "grafana")
	if err := os.WriteFile(secret, []byte("0123456789abcdef\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte("0123456789abcdef"))
	got, err := loadClients(writeClients(t, `
clients:
  - id: grafana
    label: Grafana
    secret_file: `+secret+`
    redirect_uris: [https://grafana.example.com/login/generic_oauth, 'http://127.0.0.1/cb', 'com.example.app:/login']
    post_logout_redirect_uris: [https://grafana.example.com/]
    grants: [authorization_code, device_code, refresh_token]
    id_token_alg: ES256
    claims: {email: "{sub}@wechat.example.com", email_verified: false, groups: [staff]}
    backchannel_logout_uri: http://10.0.0.7:3000/logout
  - {id: cli, grants: [device_code]}
  - {id: spa, redirect_uris: [https://spa.example.com/], dpop_bound_access_tokens: true}
`), withWechat)
	want := []*client.Client{
		{ID: "grafana", LabelEN: "Grafana", Secret: sum[:], IDTokenAlg: "ES256", TokenAlg: "", OfflineAccess: true,
			RedirectURIs:           []string{"https://grafana.example.com/login/generic_oauth", "http://127.0.0.1/cb", "com.example.app:/login"},
			PostLogoutRedirectURIs: []string{"https://grafana.example.com/"}, Grants: []string{"authorization_code", "device_code", "refresh_token"},
			Claims:               map[string]any{"email": "{sub}@wechat.example.com", "email_verified": false, "groups": []any{"staff"}},
			BackchannelLogoutURI: "http://10.0.0.7:3000/logout"},
		{ID: "cli", Grants: []string{"device_code"}, IDTokenAlg: "RS256"},
		{ID: "spa", Grants: []string{"authorization_code"}, IDTokenAlg: "RS256", RedirectURIs: []string{"https://spa.example.com/"}, DPoPBound: true},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v: %+v", err, got)
	}
}

func TestOpenIDClients_Errors(t *testing.T) {
	t.Setenv("OPENID_SHORT", "0123456789abcde")
	t.Setenv("OPENID_GOOD", "0123456789abcdef")
	public := withWechat
	public.PublicURL = "https://login.example.com"
	if _, err := loadClients(writeClients(t, "clients: [{id: a, redirect_uris: ['http://intranet/cb']}]"), withWechat); err != nil {
		t.Errorf("http, as the hub itself: %v", err)
	}
	const uris = "redirect_uris: ['https://a.example/cb']"
	for fields, want := range map[string]string{
		"redirect_uris: ['http://a.example/cb']":            "https",
		"redirect_uris: ['/cb']":                            "absolute",
		"redirect_uris: ['https://a.example/cb#x']":         "fragment",
		"redirect_uris: ['https://u@a.example/cb']":         "absolute",
		"redirect_uris: ['https://*.a.example/cb']":         "wildcards",
		"redirect_uris: ['https://a.example/*']":            "wildcards",
		"redirect_uris: ['https://A.example/cb']":           "lower case",
		"redirect_uris: ['HTTPS://a.example/cb']":           "lower case",
		"redirect_uris: ['https://bücher.example/cb']":      "punycode",
		"redirect_uris: ['https://a.example./cb']":          "lower case",
		"redirect_uris: ['https://a.example/cb?code=1']":    "code",
		"redirect_uris: ['https://a.example/cb?%zz']":       "query",
		"redirect_uris: ['javascript:alert(1)']":            "absolute",
		"redirect_uris: ['data.x:alert(1)*']":               "absolute",
		"redirect_uris: ['myapp:/cb']":                      "absolute",
		"redirect_uris: ['https:\\\\a.example']":            "absolute",
		uris + ", post_logout_redirect_uris: ['//a']":       "post_logout",
		uris + ", grants: [password]":                       "authorization_code",
		uris + ", grants: [device_code]":                    "redirect_uris",
		uris + ", grants: [device_code, device_code]":       "each once",
		"grants: [authorization_code]":                      "redirect_uris",
		"grants: [refresh_token]":                           "beside",
		uris + ", id_token_alg: none":                       "RS256",
		uris + ", id_token_alg: HS256":                      "ES256",
		"token_alg: HS256":                                  "EdDSA",
		uris + ", secret: 0123456789abcdef":                 "secret_file",
		uris + ", secret_env: OPENID_SHORT":                 "16 characters",
		uris + ", secret_env: LOGINHUB_X":                   "of your own",
		uris + ", secret_env: OPENID_UNSET":                 "not set",
		uris + ", secret_env: OPENID_GOOD, jwks_uri: 'x:/'": "one of them",
		uris + ", jwks_uri: 'http://a.example/'":            "https",
		uris + ", jwks_file: /no/such/file":                 "jwks_file",
		uris + ", backchannel_logout_uri: 'ftp://a/'":       "backchannel_logout_uri",
		uris + ", claims: {sub: x}":                         "the hub sets it",
		uris + ", claims: {email: '{mail}'}":                "{openid}",
		uris + ", claims: {groups: [{a: ['{x}']}]}":         "{openid}",
		uris + ", claims: {a: {1: b}}":                      "JSON",
		"dpop_bound_access_tokens: true":                    "redirect_uris",
		"secret_env: OPENID_GOOD":                           "redirect_uris",
		"delivery: jwt":                                     "use one of token, code",
		"delivery: code":                                    "needs secret_file",
		"delivery: code, secret_env: OPENID_SHORT":          "16 characters",
		"delivery: code, jwks_uri: 'https://a.example/'":    "jwks_uri: is for OpenID",
		"token_encryption: always":                          "page, require",

		"token_encryption: require, delivery: code, secret_env: OPENID_GOOD": "nothing is encrypted",
	} {
		_, err := loadClients(writeClients(t, "clients: [{id: a, "+fields+"}]"), public)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "0123456789abcde") {
			t.Errorf("%s: %v, want %q", fields, err, want)
		}
	}
	old := withWechat
	old.RecordVersion = 1
	for _, fields := range []string{uris, "token_encryption: require", "number_matching: auto"} {
		if _, err := loadClients(writeClients(t, "clients: [{id: a, "+fields+"}]"), old); err == nil || !strings.Contains(err.Error(), "LOGINHUB_RECORD_VERSION") {
			t.Errorf("%s with records of version 1: %v", fields, err)
		}
	}
}
