package main

import (
	"bytes"
	"errors"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
)

// Two valid keys, and a valid production configuration.
const (
	goodKey  = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
	otherKey = "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8"
)

var production = []string{"PUBLIC_URL=https://login.example.com", "REDIS_URL=redis://:hunter2@127.0.0.1:6379/0",
	"KEYS=" + goodKey, "WECHAT_APP_ID=wx0123456789abcdef", "WECHAT_APP_SECRET=hunter2"}

// parseSettings parses and checks the settings as the program does. The environment has only these
// settings, NAME=VALUE without the prefix.
func parseSettings(t *testing.T, given ...string) (*settings, error) {
	t.Helper()
	for _, entry := range os.Environ() {
		if name, _, _ := strings.Cut(entry, "="); strings.HasPrefix(name, "LOGINHUB_") {
			t.Setenv(name, "") // restores it after the test
			os.Unsetenv(name)
		}
	}
	for _, s := range given {
		name, value, _ := strings.Cut(s, "=")
		t.Setenv("LOGINHUB_"+name, value)
	}
	if err := normalizeEnv(); err != nil {
		t.Fatal(err)
	}
	cli, _, err := parse(nil)
	if err != nil {
		return nil, err
	}
	return cli.load()
}

// newParser reads settings as main does.
func newParser(t *testing.T, cli *commands) *kong.Kong {
	t.Helper()
	k, err := kong.New(cli, kong.Name("loginhub"), kong.DefaultEnvars("LOGINHUB"), kong.Exit(func(int) { t.Error("kong called exit") }))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// mustParseSettings fails the test if the settings are refused.
func mustParseSettings(t *testing.T, given ...string) *settings {
	t.Helper()
	s, err := parseSettings(t, given...)
	if err != nil {
		t.Fatalf("%q: %v", given, err)
	}
	return s
}

// withSettings returns base with more settings appended.
func withSettings(base []string, more ...string) []string { return append(slices.Clone(base), more...) }

// TestConfig_Names: these names are public and must not change.
func TestConfig_Names(t *testing.T) {
	help := map[string]string{}
	for _, f := range newParser(t, &commands{}).Model.Flags {
		for _, name := range f.Envs {
			help[name] = f.Help
		}
	}
	for _, name := range strings.Fields(`LISTEN ADMIN_LISTEN PUBLIC_URL REDIS_URL REDIS_URL_FILE KEYS KEYS_FILE CLIENTS
		WECHAT_APP_ID WECHAT_APP_SECRET WECHAT_APP_SECRET_FILE WECHAT_WEB_APP_ID WECHAT_WEB_APP_SECRET WECHAT_WEB_APP_SECRET_FILE
		WECHAT_API_URL WECHAT_OPEN_URL WECHAT_VERIFY_FILE APP_JWKS_URL APP_ISSUER QR TICKET_TTL CONFIRM_TTL RESULT_TTL TOKEN_TTL
		TRUSTED_PROXIES RATE_LIMIT MAX_SOCKETS DRAIN SANDBOX LOG`) {
		if help["LOGINHUB_"+name] == "" {
			t.Errorf("--help does not list LOGINHUB_%s", name)
		}
	}
	for name := range (&Config{}).secretSettings() {
		if _, ok := help[name+"_FILE"]; !ok {
			t.Errorf("no setting %s_FILE", name)
		}
	}
}

func TestConfig_Defaults(t *testing.T) {
	s := mustParseSettings(t)
	for _, c := range []struct{ name, got, want string }{
		{"listen", s.Listen, ":8080"}, {"admin", s.AdminListen, "127.0.0.1:9090"}, {"public URL", s.publicOrigin, ""},
		{"default public URL", defaultPublicURL, "http://localhost:8080"}, {"QR", s.QR, "link"}, {"log", s.Log, "info"},
		{"ticket", s.TicketTTL.String(), "2m0s"}, {"confirm", s.ConfirmTTL.String(), "1m0s"}, {"result", s.ResultTTL.String(), "1m0s"},
		{"token", s.TokenTTL.String(), "5m0s"}, {"drain", s.Drain.String(), "10s"},
	} {
		if c.got != c.want {
			t.Errorf("%s is %q, want %q", c.name, c.got, c.want)
		}
	}
	if s.RateLimit != 600 || s.RedisWait != 0 || s.RecordVersion != 2 || len(s.proxies) != 0 || !s.embedded() || !s.sandbox() || s.clients != nil || s.Sandbox {
		t.Errorf("the default is %+v", s.Config)
	}
	if s.MaxSockets < 64 {
		t.Errorf("MAX_SOCKETS from the file limit is %d", s.MaxSockets)
	}
	if len(s.masters) != 1 || s.masters[0] == mustParseSettings(t).masters[0] {
		t.Error("the keys of an embedded store are not random")
	}
	place := s.endpoints(fixedAddr("127.0.0.1:4711"))
	if len(place.clients) != 1 || place.clients[0].ID != "default" || !place.clients[0].AllowsOrigin("http://localhost:4711") || place.clients[0].AllowsOrigin("https://example.com") {
		t.Errorf("the default client is %+v", place.clients)
	}
	if own := place.origins; !slices.Contains(own, "http://localhost:4711") || !slices.Contains(own, place.link) {
		t.Errorf("the hub's own origins are %q", own)
	}
}

// fixedAddr is a listener's address.
type fixedAddr string

func (fixedAddr) Network() string  { return "tcp" }
func (l fixedAddr) String() string { return string(l) }

func TestConfig_Values(t *testing.T) {
	s := mustParseSettings(t, withSettings(production, "TRUSTED_PROXIES=10.1.2.3/8, ::1 ,192.0.2.1", "RATE_LIMIT=0", "DRAIN=0s", "MAX_SOCKETS=7", "RECORD_VERSION=1",
		"QR=https://t.example.com/{ticket}", "TICKET_TTL=30s", "CONFIRM_TTL=20s", "RESULT_TTL=2m", "TOKEN_TTL=3m", "REDIS_WAIT=1", "REDIS_URL=redis://redis.example.com:6379?cluster=true", "REDIS_SHARDED=true",
		"LISTEN=127.0.0.1:0", "ADMIN_LISTEN=", "LOG=debug", "KEYS="+otherKey+","+goodKey)...)
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128"), netip.MustParsePrefix("192.0.2.1/32")}
	if !slices.Equal(s.proxies, proxies) || s.RateLimit != 0 || s.Drain != 0 || s.MaxSockets != 7 || s.QR != "https://t.example.com/{ticket}" ||
		[4]time.Duration{s.TicketTTL, s.ConfirmTTL, s.ResultTTL, s.TokenTTL} != [4]time.Duration{30 * time.Second, 20 * time.Second, 2 * time.Minute, 3 * time.Minute} ||
		s.RedisWait != 1 || !s.RedisSharded || s.RecordVersion != 1 || s.Listen != "127.0.0.1:0" || s.AdminListen != "" || s.Log != "debug" || len(s.masters) != 2 || s.masters[0].Reveal() != otherKey ||
		s.embedded() || s.sandbox() {
		t.Errorf("parsed %+v %v", s.Config, s.proxies)
	}
	for given, want := range map[string]string{
		"HTTPS://Login.Example.com/": "https://login.example.com", "http://localhost:8080": "http://localhost:8080", "http://[::1]:80": "http://[::1]",
	} {
		if s := mustParseSettings(t, withSettings(production, "PUBLIC_URL="+given)...); s.publicOrigin != want {
			t.Errorf("%s is %s", given, s.publicOrigin)
		}
	}
}

// TestConfig_WaitersPerAddress checks the numbers of deploy/CONFIGURATION.md and the runbook.
func TestConfig_WaitersPerAddress(t *testing.T) {
	for sockets, want := range map[string]int{"1": 1000, "64": 1000, "1000": 1000, "2000": 1000, "2001": 1000, "2002": 1001, "100000": 50_000} {
		if got := mustParseSettings(t, "MAX_SOCKETS="+sockets).maxWaitersPerAddr(); got != want {
			t.Errorf("MAX_SOCKETS %s: %d per address, wanted %d", sockets, got, want)
		}
		if got := mustParseSettings(t, "MAX_SOCKETS="+sockets, "RATE_LIMIT=1").maxWaitersPerAddr(); got != want {
			t.Errorf("MAX_SOCKETS %s, another rate: %d per address, wanted %d", sockets, got, want)
		}
		if got := mustParseSettings(t, "MAX_SOCKETS="+sockets, "RATE_LIMIT=0").maxWaitersPerAddr(); got != 0 {
			t.Errorf("MAX_SOCKETS %s, limits off: %d per address", sockets, got)
		}
	}
	if s := mustParseSettings(t); s.maxWaitersPerAddr() != max(1000, s.MaxSockets/2) {
		t.Errorf("from the file limit: %d per address of %d", s.maxWaitersPerAddr(), s.MaxSockets)
	}
}

// TestConfig_MappedProxy: an IPv4-mapped prefix matches the IPv4 form of an address.
func TestConfig_MappedProxy(t *testing.T) {
	for given, want := range map[string]string{
		"::ffff:10.0.0.0/104": "10.0.0.0/8", "::ffff:10.1.2.3/104": "10.0.0.0/8", "::ffff:192.0.2.1": "192.0.2.1/32",
		"::ffff:192.0.2.1/128": "192.0.2.1/32", "::ffff:128.0.0.0/97": "128.0.0.0/1", "::fffe:0:0/104": "::fffe:0:0/104", "2001:db8::/32": "2001:db8::/32",
	} {
		got := mustParseSettings(t, withSettings(production, "TRUSTED_PROXIES="+given)...).proxies
		if !slices.Equal(got, []netip.Prefix{netip.MustParsePrefix(want)}) {
			t.Errorf("%s is %v, wanted %s", given, got, want)
		}
	}
	_, err := parseSettings(t, withSettings(production, "TRUSTED_PROXIES=0.0.0.0/0")...)
	if err == nil || !strings.Contains(err.Error(), "name the proxy's own addresses") {
		t.Errorf("::/0 is accepted, or the error has no hint: %v", err)
	}
}

// TestConfig_Errors: each error names the variable.
func TestConfig_Errors(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	for _, c := range []struct {
		setting string // added to a valid production configuration
		named   string // the variable in the error; "" for the setting's own
	}{
		{"PUBLIC_URL=login.example.com", ""}, {"PUBLIC_URL=ftp://login.example.com", ""}, {"PUBLIC_URL=https://", ""},
		{"PUBLIC_URL=https://user:hunter2@login.example.com", ""}, {"PUBLIC_URL=https://login.example.com/path", ""},
		{"PUBLIC_URL=https://login.example.com?x=1", ""}, {"PUBLIC_URL=https://login.example.com#x", ""},
		{"PUBLIC_URL=//login.example.com", ""}, {"PUBLIC_URL=https://hunter2 x", ""},
		{"REDIS_URL=", ""}, // means the embedded store, which is not for production
		{"KEYS=", ""}, {"KEYS=hunter2", ""}, {"KEYS=" + goodKey + "," + goodKey, ""}, {"KEYS=" + goodKey + ",hunter2", ""}, {"KEYS=" + goodKey[1:], ""},
		{"KEYS_FILE=" + missing, ""}, {"REDIS_URL_FILE=" + missing, "REDIS_URL"}, {"WECHAT_APP_SECRET_FILE=" + missing, "WECHAT_APP_SECRET"},
		{"CLIENTS=" + missing, ""}, {"GEOIP_FILE=" + missing, ""},
		{"ADMIN_TOKEN=hunter2", ""}, {"ADMIN_TOKEN=hunter2 123456789abcdef0123456789abcdef", ""}, {"ADMIN_TOKEN=" + goodKey, ""}, {"ADMIN_TOKEN_FILE=" + missing, ""},
		{"WECHAT_APP_ID=", "WECHAT_APP_SECRET"}, {"WECHAT_APP_SECRET=", ""},
		{"WECHAT_WEB_APP_ID=wx1", "WECHAT_WEB_"}, {"WECHAT_WEB_APP_SECRET=hunter2", "WECHAT_WEB_"},
		{"WECHAT_VERIFY_FILE=../a.txt:hunter2", ""}, {"APP_JWKS_URL=https://example.com", "APP_"}, {"APP_ISSUER=me", "APP_"},
		{"QR=https://example.com/", ""}, {"QR=Link", ""},
		{"TICKET_TTL=0s", ""}, {"TICKET_TTL=25h", ""}, {"TICKET_TTL=-1m", ""}, {"TICKET_TTL=2", ""}, {"CONFIRM_TTL=0s", ""}, {"CONFIRM_TTL=25h", ""},
		{"RESULT_TTL=0s", ""}, {"RESULT_TTL=25h", ""}, {"TOKEN_TTL=25h", ""}, {"TOKEN_TTL=119s", ""}, {"RESULT_TTL=241s", "TOKEN_TTL"},
		{"TRUSTED_PROXIES=10.0.0.0/33", ""}, {"TRUSTED_PROXIES=proxy.local", ""}, {"TRUSTED_PROXIES=10.0.0.0/8,*", ""},
		{"TRUSTED_PROXIES=0.0.0.0/0", ""}, {"TRUSTED_PROXIES=10.0.0.0/8,::/0", ""}, {"TRUSTED_PROXIES=1.2.3.4/0", ""},
		{"TRUSTED_PROXIES=::ffff:0.0.0.0/96", ""}, {"TRUSTED_PROXIES=::ffff:10.0.0.0/90", ""},
		{"PROXY_PROTOCOL=true", ""}, {"PROXY_PROTOCOL=v1", "--proxy-protocol"},
		{"RATE_LIMIT=-1", ""}, {"RATE_LIMIT=many", ""}, {"MAX_SOCKETS=-1", ""}, {"DRAIN=-1s", ""}, {"DRAIN=61m", ""}, {"REDIS_WAIT=-1", ""}, {"REDIS_SHARDED=true", ""},
		{"SANDBOX=perhaps", ""}, {"LOG=loud", "--log"},
	} {
		settings := production
		if name, _, _ := strings.Cut(c.setting, "="); strings.HasSuffix(name, "_FILE") && name != "WECHAT_VERIFY_FILE" {
			settings = slices.DeleteFunc(slices.Clone(production), func(s string) bool { return strings.HasPrefix(s, strings.TrimSuffix(name, "_FILE")+"=") })
		}
		_, err := parseSettings(t, withSettings(settings, c.setting)...)
		named := c.named
		if named == "" {
			named, _, _ = strings.Cut(c.setting, "=")
		}
		if !strings.HasPrefix(named, "--") {
			named = "LOGINHUB_" + named
		}
		if err == nil || !strings.Contains(err.Error(), named) {
			t.Errorf("%s: %v does not name %s", c.setting, err, named)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the error contains the secret: %v", c.setting, err)
		}
	}
	if _, err := parseSettings(t, "REDIS_WAIT=1"); err == nil || !strings.Contains(err.Error(), "LOGINHUB_REDIS_WAIT") {
		t.Errorf("REDIS_WAIT with the embedded store: %v", err)
	}
}

func TestConfig_AllErrorsAtOnce(t *testing.T) {
	_, err := parseSettings(t, "PUBLIC_URL=nonsense", "KEYS=hunter2", "TRUSTED_PROXIES=x", "CLIENTS=/nowhere", "RATE_LIMIT=-1", "QR=x", "TICKET_TTL=0s")
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the cause is missing: %v", err)
	}
	for _, name := range strings.Fields("PUBLIC_URL KEYS TRUSTED_PROXIES CLIENTS RATE_LIMIT QR TICKET_TTL") {
		if err == nil || strings.Count(err.Error(), "LOGINHUB_"+name+":") != 1 {
			t.Errorf("LOGINHUB_%s is not named exactly once: %v", name, err)
		}
	}
}

// TestConfig_HTTPSIsProduction: on https each insecure default must be asked for.
func TestConfig_HTTPSIsProduction(t *testing.T) {
	https := "PUBLIC_URL=https://login.example.com"
	wechat := []string{"WECHAT_APP_ID=wx1", "WECHAT_APP_SECRET=s"}
	redis := []string{"REDIS_URL=redis://127.0.0.1", "KEYS=" + goodKey}
	for _, c := range []struct {
		given   []string
		refused string // names of the settings, in order
	}{
		{[]string{https}, "LOGINHUB_REDIS_URL LOGINHUB_SANDBOX"},
		{[]string{https, "REDIS_URL=embedded"}, "LOGINHUB_SANDBOX"},
		{[]string{https, "SANDBOX=true"}, "LOGINHUB_REDIS_URL"},
		{[]string{https, "REDIS_URL=embedded", "SANDBOX=true"}, ""},
		{withSettings(wechat, https), "LOGINHUB_REDIS_URL"},
		{withSettings(wechat, https, "REDIS_URL=embedded"), ""},
		{withSettings(redis, https), "LOGINHUB_SANDBOX"},
		{withSettings(redis, https, "SANDBOX=true"), ""},
		{withSettings(redis, https, "SANDBOX=false"), "LOGINHUB_SANDBOX"},
		{withSettings(redis, https, "CLIENTS=/nonexistent.yaml"), "LOGINHUB_CLIENTS"},
		{production, ""},
		{[]string{"PUBLIC_URL=HTTPS://LOGIN.EXAMPLE.COM"}, "LOGINHUB_REDIS_URL LOGINHUB_SANDBOX"},
		{[]string{"PUBLIC_URL=http://login.example.com"}, "LOGINHUB_PUBLIC_URL"},
		{[]string{"PUBLIC_URL=http://login.example.com", "INSECURE_HTTP=true"}, ""},
		{redis, ""},
	} {
		_, err := parseSettings(t, c.given...)
		var names []string
		if err != nil {
			for _, line := range strings.Split(err.Error(), "\n") {
				name, _, _ := strings.Cut(line, ":")
				names = append(names, name)
			}
		}
		if got := strings.Join(names, " "); got != c.refused {
			t.Errorf("%q: refused %q, wanted %q", c.given, got, c.refused)
		}
	}
}

func TestConfig_SecretFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	without := func(name string) []string {
		return slices.DeleteFunc(slices.Clone(production), func(s string) bool { return strings.HasPrefix(s, name+"=") })
	}
	write(goodKey + ",\n" + otherKey + "\n")
	if s := mustParseSettings(t, withSettings(without("KEYS"), "KEYS_FILE="+file)...); len(s.masters) != 2 || s.masters[1].Reveal() != otherKey {
		t.Errorf("%d keys", len(s.masters))
	}
	write(" redis://:hunter2@127.0.0.1/0\r\n")
	if s := mustParseSettings(t, withSettings(without("REDIS_URL"), "REDIS_URL_FILE="+file)...); s.RedisURL != "redis://:hunter2@127.0.0.1/0" {
		t.Errorf("the URL is %q", s.RedisURL)
	}
	write("hunter2\n")
	if s := mustParseSettings(t, withSettings(without("WECHAT_APP_SECRET"), "WECHAT_APP_SECRET_FILE="+file)...); s.WechatAppSecret != "hunter2" {
		t.Errorf("the secret is %q", s.WechatAppSecret)
	}
	for name := range (&Config{}).secretSettings() {
		name = strings.TrimPrefix(name, "LOGINHUB_")
		_, err := parseSettings(t, withSettings(without(name), name+"=hunter2", name+"_FILE="+file)...)
		if err == nil || !strings.Contains(err.Error(), "LOGINHUB_"+name) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s set twice: %v", name, err)
		}
	}
}

// TestConfig_EmptyVariable: compose files and charts pass on unset variables as empty ones. Only
// the admin address has a meaning if it is empty.
func TestConfig_EmptyVariable(t *testing.T) {
	var all []string
	for _, f := range newParser(t, &commands{}).Model.Flags {
		for _, name := range f.Envs {
			all = append(all, strings.TrimPrefix(name, "LOGINHUB_")+"=")
		}
	}
	s := mustParseSettings(t, all...)
	if s.Listen != ":8080" || s.TicketTTL != 2*time.Minute || s.RateLimit != 600 || s.QR != "link" || s.Log != "info" || !s.embedded() {
		t.Errorf("parsed %+v", s.Config)
	}
	if s.AdminListen != "" {
		t.Errorf("the admin address is %q", s.AdminListen)
	}
}

func TestConfig_LogHidesSecrets(t *testing.T) {
	c := &Config{PublicURL: "https://login.example.com", WechatAppID: "wx0123456789abcdef"}
	for name, s := range c.secretSettings() {
		*s[0], *s[1] = "hunter2-"+name, "/run/secrets/"+name
	}
	var out bytes.Buffer
	for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(h).Info("starting", "config", c)
		slog.New(h).With("config", c).Info("starting")
		slog.New(h).Info("starting", "settings", &settings{Config: c})
	}
	if strings.Contains(out.String(), "hunter2") {
		t.Errorf("a secret is in\n%s", out.String())
	}
	for _, word := range []string{"https://login.example.com", "wx0123456789abcdef", "[set]"} {
		if strings.Count(out.String(), word) < 6 {
			t.Errorf("%s is missing in\n%s", word, out.String())
		}
	}
}
