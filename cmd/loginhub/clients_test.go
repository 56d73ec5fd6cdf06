package main

import (
	"bytes"
	"errors"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"loginhub/hub/client"
)

// writeClients writes a clients file and returns its path.
func writeClients(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "clients.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// withWechat is the configuration of a node with a mini-program.
var withWechat = Config{WechatAppID: "wx1", WechatAppSecret: "s3cret", WechatEnvVersion: "release", WechatPage: "pages/confirm/confirm"}

// loadClients reads a clients file as a node with that configuration does.
func loadClients(path string, c Config) ([]*client.Client, error) {
	base, err := c.credentials()
	if err != nil {
		return nil, err
	}
	with, err := c.readClients(path, base)
	return with.clients, err
}

func TestClients_DocumentedExample(t *testing.T) {
	got, err := loadClients(writeClients(t, `
    clients:
      - id: demo
        label: {zh: 演示, en: Demo}
        origins: [https://www.example.com]
        providers: [wechat]
        subject: openid          # or unionid
        number_matching: false
        token_ttl: 5m
`), withWechat)
	want := []*client.Client{{ID: "demo", LinkLogin: true, LabelZH: "演示", LabelEN: "Demo", Origins: []string{"https://www.example.com"},
		Providers: []string{"wechat"}, Subject: "openid", TokenTTL: 5 * time.Minute}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v: %+v", err, got)
	}
}

func TestClients_Minimal(t *testing.T) {
	got, err := loadClients(writeClients(t, "clients: [{id: a, number_matching: auto}, {id: B-2._, number_matching: true, subject: unionid, origins: ['http://localhost:3000', 'https://[::1]:8443']}]"), Config{})
	want := []*client.Client{{ID: "a", AutoMatching: true, LinkLogin: true}, {ID: "B-2._", NumberMatching: true, LinkLogin: true, Subject: "unionid", Origins: []string{"http://localhost:3000", "https://[::1]:8443"}}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v: %+v", err, got)
	}
}

// TestClients_ErrorsNameLine: a misspelt option is an error, not its default.
func TestClients_ErrorsNameLine(t *testing.T) {
	for name, c := range map[string]struct {
		text     string
		wantText []string
	}{
		"unknown field":         {"clients:\n  - id: demo\n    number_maching: true\n", []string{"line 3", "number_maching", "number_matching"}},
		"unknown outer field":   {"client:\n  - id: demo\n", []string{"line 1", "client"}},
		"unknown language":      {"clients:\n  - id: demo\n    label: {de: Vorführung}\n", []string{"line 3", "de"}},
		"a label of nothing":    {"clients:\n  - id: demo\n    label: \"\\u3164\\u2800\"\n", []string{"line 2", "label", "visible", "3164"}},
		"a label's language":    {"clients:\n  - {id: demo, label: {zh: ' ', en: Demo}}\n", []string{"line 2", "label", "visible"}},
		"an id twice":           {"clients:\n  - id: demo\n  - id: other\n  - id: demo\n", []string{"line 4", "demo"}},
		"a field twice":         {"clients:\n  - id: demo\n    id: other\n", []string{"line 3"}},
		"no id":                 {"clients:\n  - origins: []\n", []string{"line 2", "id"}},
		"an id with a blank":    {"clients:\n\n  - id: de mo\n", []string{"line 3", "de mo"}},
		"an id beyond ASCII":    {"clients:\n  - id: 演示\n", []string{"line 2"}},
		"a long id":             {"clients:\n  - id: " + strings.Repeat("a", 65) + "\n", []string{"line 2"}},
		"subject":               {"clients:\n  - id: demo\n    subject: openID\n", []string{"line 2", "openID", "unionid"}},
		"provider":              {"clients:\n  - id: demo\n    providers: [wechat, sandbox]\n", []string{"line 2", "sandbox", "wechat"}},
		"token_ttl, no unit":    {"clients:\n  - id: demo\n    token_ttl: 300\n", []string{"line 2", "300", "5m"}},
		"token_ttl, none":       {"clients:\n  - id: demo\n    token_ttl: 0s\n", []string{"line 2", "0s"}},
		"token_ttl, negative":   {"clients:\n  - id: demo\n    token_ttl: -5m\n", []string{"line 2", "-5m"}},
		"number_matching":       {"clients:\n  - id: demo\n    number_matching: perhaps\n", []string{"line 3: number_matching: true, false or auto"}},
		"number_matching: text": {"clients:\n  - id: demo\n    number_matching: [auto]\n", []string{"line 3: number_matching: true, false or auto"}},
		"origins without list":  {"clients:\n  - id: demo\n    origins: {a: b}\n", []string{"line 3: expected a list of texts, such as [a, b], found fields"}},
		"clients without list":  {"clients:\n  id: demo\n", []string{"line 2: expected a list, each item with a dash, found fields"}},
		"a client that is text": {"clients:\n  - demo\n", []string{"line 2: expected fields, each as NAME: VALUE, found a text"}},
		"a list for a text":     {"clients:\n  - id: [demo]\n", []string{"line 2: expected a text, found a list"}},
		"a list for fields":     {"clients:\n  - id: demo\n    wechat: [a]\n", []string{"line 3: expected fields"}},
		"a secret for fields":   {"clients:\n  - id: demo\n    app: hunter2\n", []string{"line 3: expected fields"}},
		"no YAML":               {"clients: [\n", []string{"line"}},
		"no client":             {"clients: []\n", []string{"there are no clients"}},
		"an empty file":         {"", nil},
		"an unknown kind":       {"providers:\n  - {id: a, kind: unknown9}\nclients: [{id: demo}]\n", []string{"line 2", "unknown9", "wechat_web", "app"}},
		"a development kind":    {"providers:\n  - {id: a, kind: sandbox}\nclients: [{id: demo}]\n", []string{"line 2", "sandbox"}},
		"a provider's id twice": {"providers:\n  - {id: a, kind: app, jwks_url: 'https://x.example/', issuer: x}\n  - {id: a, kind: app, jwks_url: 'https://x.example/', issuer: x}\nclients: [{id: demo}]\n", []string{"line 3", "id a"}},
		"id of a variable":      {"providers:\n  - {id: wechat, kind: app, jwks_url: 'https://x.example/', issuer: x}\nclients: [{id: demo}]\n", []string{"line 2", "wechat", "variable"}},
		"a provider's field":    {"providers:\n  - id: a\n    kind: app\n    jwks: x\nclients: [{id: demo}]\n", []string{"line 4", "jwks", "jwks_url, issuer"}},
		"a provider's secret":   {"providers:\n  - id: a\n    kind: wechat\n    app_id: wx2\n    app_secret: hunter2\nclients: [{id: demo}]\n", []string{"line 5", "app_secret_file"}},
		"a provider's list":     {"providers:\n  - {id: a, kind: app, issuer: [x]}\nclients: [{id: demo}]\n", []string{"line 2", "issuer"}},
		"branding's field":      {"branding: {colour: red}\nclients: [{id: demo}]\n", []string{"line 1", "colour", "accent_dark"}},
		"branding of all":       {"branding: {theme: blue}\nclients: [{id: demo}]\n", []string{"branding: theme", "auto, light, dark"}},
		"an unreadable accent":  {"clients:\n  - id: demo\n    branding: {accent: '#ffcc00'}\n", []string{"line 2", "#ffcc00", "4.5", "#886c00"}},
		"only a dark accent":    {"clients:\n  - id: demo\n    branding: {accent_dark: '#ffcc00'}\n", []string{"line 2", "needs accent"}},
		"a missing logo file":   {"clients:\n  - id: demo\n    branding: {logo: /no/such.png}\n", []string{"line 2", "logo", "/no/such.png"}},
		"a logo that is text":   {"clients:\n  - id: demo\n    branding: {logo: /etc/hostname}\n", []string{"line 2", "/etc/hostname", "PNG, JPEG or GIF"}},
		"texts of a language":   {"clients:\n  - id: demo\n    branding: {texts: {de: {title: x}}}\n", []string{"line 2", "de", "zh-TW"}},
		"a protecting text":     {"clients:\n  - id: demo\n    branding: {texts: {en: {safe: x}}}\n", []string{"line 2", "safe", "eyebrow"}},
		"a text's control":      {"clients:\n  - id: demo\n    branding: {texts: {en: {title: \"a\\u202eb\"}}}\n", []string{"line 2", "title", "120"}},
		"a long text":           {"clients:\n  - id: demo\n    branding: {texts: {en: {title: " + strings.Repeat("x", 121) + "}}}\n", []string{"line 2", "120"}},
		"a provider's id":       {"providers:\n  - {id: A B, kind: app}\nclients: [{id: demo}]\n", []string{"line 2", "A B"}},
	} {
		path := writeClients(t, c.text)
		got, err := loadClients(path, withWechat)
		if err == nil {
			t.Errorf("%s: accepted as %+v", name, got)
			continue
		}
		for _, never := range []string{"main.", "[]string", "!!", "hunter2", " type "} {
			if strings.Contains(strings.ReplaceAll(err.Error(), path, ""), never) {
				t.Errorf("%s: %q is in: %v", name, never, err)
			}
		}
		for _, word := range append(c.wantText, path) {
			if !strings.Contains(err.Error(), word) {
				t.Errorf("%s: %q is missing in: %v", name, word, err)
			}
		}
	}
}

// TestClients_Branding: a client has the file's branding where it has none of its own.
func TestClients_Branding(t *testing.T) {
	logo := filepath.Join(t.TempDir(), "logo.png")
	var picture bytes.Buffer
	if err := errors.Join(png.Encode(&picture, image.NewGray(image.Rect(0, 0, 32, 32))), os.WriteFile(logo, picture.Bytes(), 0o600)); err != nil {
		t.Fatal(err)
	}
	got, err := loadClients(writeClients(t, "branding: {logo: "+logo+", accent: '#8b0000', theme: dark}\nclients: [{id: a}, {id: b, branding: {accent: '#0a7a5c', theme: auto, texts: {ja: {eyebrow: ようこそ}}}}]"), withWechat)
	if err != nil {
		t.Fatal(err)
	}
	a, b := got[0].Branding, got[1].Branding
	if a.Light.Color != "#8b0000" || a.Theme != "dark" || a.LogoPath() == "" || a.Texts != nil {
		t.Errorf("a: %+v", a)
	}
	if b.Light.Color != "#0a7a5c" || b.Theme != "" || b.LogoPath() != a.LogoPath() || b.Texts["ja"]["eyebrow"] != "ようこそ" {
		t.Errorf("b: %+v", b)
	}
}

// TestClients_TokenTTL: a token that waits for its browser would otherwise arrive expired.
func TestClients_TokenTTL(t *testing.T) {
	clients := func(ttl string) string { return writeClients(t, "clients:\n  - id: demo\n    token_ttl: "+ttl+"\n") }
	_, err := parseSettings(t, "CLIENTS="+clients("119s"))
	if err == nil || !strings.Contains(err.Error(), "LOGINHUB_CLIENTS") || !strings.Contains(err.Error(), "demo") || !strings.Contains(err.Error(), "token_ttl") {
		t.Errorf("too short: %v", err)
	}
	if s := mustParseSettings(t, "CLIENTS="+clients("2m")); len(s.clients) != 1 || s.clients[0].TokenTTL != 2*time.Minute {
		t.Errorf("clients are %+v", s.clients)
	}
	// The configured providers decide the rest of the configuration.
	wechat := writeClients(t, "clients:\n  - id: demo\n    providers: [wechat]\n")
	if _, err := parseSettings(t, "CLIENTS="+wechat); err == nil || !strings.Contains(err.Error(), "LOGINHUB_CLIENTS") || !strings.Contains(err.Error(), "sandbox") {
		t.Errorf("wechat in the sandbox: %v", err)
	}
	mustParseSettings(t, withSettings(production, "CLIENTS="+wechat)...)
	sandbox := writeClients(t, "clients:\n  - id: demo\n    providers: [sandbox]\n")
	if _, err := parseSettings(t, withSettings(production, "CLIENTS="+sandbox)...); err == nil {
		t.Error("the sandbox is offered beside another provider")
	}
}

// TestClients_OwnCredentials: errors in a client's own applications, and in the settings that
// belong to the common ones.
func TestClients_OwnCredentials(t *testing.T) {
	const entry = "clients:\n  - id: demo\n    origins: ['http://login.test']\n"
	for what, c := range map[string]struct {
		clients  string
		setting  string
		wantText []string
	}{
		"an inline secret":               {entry + "    wechat:\n      app_id: wx1\n      app_secret: hunter22hunter22\n", "", []string{"line 6", "app_secret_env"}},
		"no secret":                      {entry + "    wechat: {app_id: wx1}\n", "", []string{"line 2", "app_secret_file"}},
		"an unset variable":              {entry + "    wechat: {app_id: wx1, app_secret_env: NO_SUCH_SECRET}\n", "", []string{"line 2", "NO_SUCH_SECRET"}},
		"a missing file":                 {entry + "    wechat_web: {app_id: wx1, app_secret_file: /no/such/file}\n", "", []string{"wechat_web", "/no/such/file"}},
		"jwks_url over http":             {entry + "    app: {jwks_url: 'http://sso.example.com/', issuer: x}\n", "", []string{"jwks_url", "https"}},
		"events, a password":             {entry + "    events: {url: 'https://u:hunter22@x.example/', secret_env: PATH}\n", "", []string{"events: url", "[set]@x.example"}},
		"subject_map, a password":        {entry + "    subject_map: 'https://u:hunter22@x.example/'\n", "", []string{"subject_map", "[set]@x.example"}},
		"backchannel, a password":        {entry + "    redirect_uris: ['https://x.example/']\n    secret_env: PATH\n    backchannel_logout_uri: 'https://u:hunter22@x.example/'\n", "", []string{"backchannel_logout_uri", "[set]@x.example"}},
		"jwks_uri, a password":           {entry + "    redirect_uris: ['https://x.example/']\n    jwks_uri: 'https://u:hunter22@x.example/'\n", "", []string{"jwks_uri", "[set]@x.example"}},
		"a wrong phone_number":           {entry + "    phone_number: yes\n", "", []string{"line 2", "ask or require"}},
		"phone_number without source":    {entry + "    providers: [wechat_web]\n    phone_number: ask\n", "", []string{"line 2", "wechat"}},
		"login_notice, no source":        {entry + "    providers: [web]\n    login_notice: {template_id: t, fields: {thing1: x}}\nproviders: [{id: web, kind: wechat_web, app_id: wx2, app_secret_env: PATH}]\n", "", []string{"line 2", "mini-program"}},
		"login_notice, two sources":      {entry + "    login_notice: {template_id: t, fields: {thing1: x}}\nproviders:\n  - {id: second, kind: wechat, app_id: wx2, app_secret_env: PATH}\n", "", []string{"line 2", "second", "providers"}},
		"login_notice, no fields":        {entry + "    login_notice: {template_id: t}\n", "", []string{"line 2", "fields"}},
		"login_notice, no template":      {entry + "    login_notice: {template_id: 'a b', fields: {thing1: x}}\n", "", []string{"line 2", "template_id"}},
		"login_notice, a field's name":   {entry + "    login_notice: {template_id: t, fields: {thing1.DATA: x}}\n", "", []string{"line 2", "thing1.DATA", "character_string"}},
		"login_notice, a placeholder":    {entry + "    login_notice: {template_id: t, fields: {thing1: '{sit}'}}\n", "", []string{"line 2", "{sit}", "{site}"}},
		"login_notice, a time's text":    {entry + "    login_notice: {template_id: t, fields: {time1: 'at {time}'}}\n", "", []string{"line 2", "time1"}},
		"login_notice, a misplaced time": {entry + "    login_notice: {template_id: t, fields: {name1: '{time}'}}\n", "", []string{"line 2", "name1"}},
		"login_notice, a page":           {entry + "    login_notice: {template_id: t, page: /pages/x, fields: {thing1: x}}\n", "", []string{"line 2", "/pages/x"}},
		"an unknown QR kind":             {entry + "    qr: sun\n", "", []string{"line 2", "wxacode"}},
		"a misspelt field":               {entry + "    app: {jwks: x}\n", "", []string{"line 4", "jwks_url"}},
		"a provider not configured":      {entry + "    providers: [wechat_web]\n", "", []string{"wechat_web", "there is wechat"}},
		"an app without issuer":          {"", "APP_JWKS_URL=https://x.example/", []string{"LOGINHUB_APP_ISSUER"}},
		"a website without secret":       {"", "WECHAT_WEB_APP_ID=wx1", []string{"LOGINHUB_WECHAT_WEB_APP_SECRET"}},
		"a template without {ticket}":    {"", "QR=https://x.example/", []string{"{ticket}"}},
		"an invalid verification file":   {"", "WECHAT_VERIFY_FILE=../x:y", []string{"LOGINHUB_WECHAT_VERIFY_FILE"}},
		"a missing logo":                 {"", "QR_LOGO=/no/such/logo.png", []string{"LOGINHUB_QR_LOGO"}},
		"a page with a slash":            {"", "WECHAT_PAGE=/pages/x", []string{"LOGINHUB_WECHAT_PAGE"}},
	} {
		given := withSettings(production, c.setting)
		if c.clients != "" {
			given = withSettings(production, "CLIENTS="+writeClients(t, c.clients))
		}
		_, err := parseSettings(t, given...)
		if err == nil || strings.Contains(err.Error(), "hunter22") {
			t.Errorf("%s: %v", what, err)
			continue
		}
		for _, text := range c.wantText {
			if !strings.Contains(err.Error(), text) {
				t.Errorf("%s: %q is missing in: %v", what, text, err)
			}
		}
	}
	for wantText, given := range map[string][]string{"LOGINHUB_PUBLIC_URL": {"APP_JWKS_URL=https://x.example/", "APP_ISSUER=x"}, "LOGINHUB_QR": {"QR=wxacode"}} {
		if _, err := parseSettings(t, given...); err == nil || !strings.Contains(err.Error(), wantText) {
			t.Errorf("%v: %v", given, err)
		}
	}
}
