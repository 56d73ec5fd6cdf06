package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"loginhub/hub/redisstore"
)

// Config is every setting of a node. Each field is a flag (--public-url), an
// environment variable (LOGINHUB_PUBLIC_URL) and a line of --help.
type Config struct {
	Listen      string `default:":8080" help:"Address of the public listener."`
	AdminListen string `default:"127.0.0.1:9090" help:"Address of metrics, pprof and the switch that turns logins off: for operators alone; empty turns it off."`
	PublicURL   string `help:"What browsers and phones see, for example https://login.example.com; issuer of the tokens. Default http://localhost:8080."`

	RedisURL     string `help:"redis://, rediss:// or unix:// URL; ?addr= adds addresses, ?master_name= is for Sentinel (before the @ its own user and password, Redis's as ?username=&password=), ?cluster=true for Cluster; 'embedded' keeps tickets in this process. Default: embedded." placeholder:"URL"`
	RedisURLFile string `help:"Path of a file that holds the Redis URL; read at the start alone." placeholder:"PATH"`
	RedisWait    int    `help:"How many replicas must have a confirm before the phone is answered, so that a failover cannot lose it; costs each confirm one more command (WAIT). N needs N+1 replicas: with fewer than N in step every confirm is refused. Default: none."`
	RedisPrefix  string `default:"loginhub" help:"What every key and channel in Redis begins with, before a colon: deployments with different prefixes share nothing on one Redis. Letters, digits, dots, dashes and underscores, at most 32. The Redis user's rights (users.acl) name it too." placeholder:"PREFIX"`
	RedisCA      string `name:"redis-ca" help:"Path of the PEM certificates of the authorities that a rediss:// Redis and its Sentinels are verified against, in place of the system's." placeholder:"PATH"`
	RedisCert    string `help:"Path of the PEM certificate that a rediss:// Redis asks for; read again when it changes." placeholder:"PATH"`
	RedisKey     string `help:"Path of its PEM key." placeholder:"PATH"`
	Keys         string `help:"Master keys as 'loginhub keygen' prints them, comma-separated, newest first. Random with the embedded Redis, otherwise required." placeholder:"KEY,..."`
	KeysFile     string `help:"Path of a file that holds the keys; read again when it changes." placeholder:"PATH"`
	Clients      string `help:"Path of the clients file (YAML); read again when it changes. Default: one client 'default' with the public URL's own origin." placeholder:"PATH"`

	WechatAppID            string `name:"wechat-app-id" help:"The mini-program's AppID. Without any provider the sandbox runs."`
	WechatAppSecret        string `help:"The mini-program's AppSecret." placeholder:"SECRET"`
	WechatAppSecretFile    string `help:"Path of a file that holds it." placeholder:"PATH"`
	WechatWebAppID         string `name:"wechat-web-app-id" help:"The website application's AppID; its users log in on the computer, without a mini-program."`
	WechatWebAppSecret     string `help:"The website application's AppSecret." placeholder:"SECRET"`
	WechatWebAppSecretFile string `help:"Path of a file that holds it." placeholder:"PATH"`
	WechatAPIURL           string `name:"wechat-api-url" help:"Base of WeChat's API, for tests and proxies. Default: WeChat's own." placeholder:"URL"`
	WechatOpenURL          string `name:"wechat-open-url" help:"Base of WeChat's authorize page, for tests. Default: WeChat's own. A website login costs three Redis commands more than a phone's confirm." placeholder:"URL"`
	WechatVerifyFile       string `help:"NAME:CONTENT of the ordinary-link rule's verification file, served under /s/." placeholder:"NAME:CONTENT"`
	WechatPage             string `default:"pages/confirm/confirm" help:"The mini-program's page that confirms: of 'wxacode', and of the button on a phone."`
	WechatEnvVersion       string `enum:"release,trial,develop" default:"release" help:"Version of the mini-program: release, trial or develop."`
	WechatCheckPath        bool   `default:"true" negatable:"" help:"The page must exist in the published version; turn off for trial and develop."`
	WechatScheme           bool   `default:"true" negatable:"" help:"Offer 'open WeChat' on phones (weixin://dl/business/). The page has to be allowed in WeChat's console (plain scheme)."`
	AppJWKSURL             string `name:"app-jwks-url" help:"The own app's public keys (JWKS, https). Each call of its phones costs one Redis command more, which spends the assertion's jti." placeholder:"URL"`
	AppIssuer              string `help:"The iss of the own app's assertions."`
	QR                     string `name:"qr" default:"link" help:"What the QR code holds: 'link', 'wxacode' (WeChat's mini-program code; costs each ticket a Redis command and a call to WeChat), or a URL template with {ticket}."`
	QRLevel                string `name:"qr-level" enum:",L,M,Q,H" default:"" help:"Error correction of the QR code: L, M, Q or H. Default: M, with a logo H."`
	QRLogo                 string `name:"qr-logo" help:"Path of a square PNG (at most 64 KiB) for the middle of the QR code." placeholder:"PATH"`

	TicketTTL  time.Duration `name:"ticket-ttl" default:"2m" help:"Time to scan."`
	ConfirmTTL time.Duration `name:"confirm-ttl" default:"1m" help:"At least so long to confirm after a scan."`
	ResultTTL  time.Duration `name:"result-ttl" default:"1m" help:"How long a confirmed ticket waits for its browser."`
	TokenTTL   time.Duration `name:"token-ttl" default:"5m" help:"Token life; at least result-ttl and a minute."`

	TrustedProxies []string      `help:"CIDRs whose X-Forwarded-For is believed, comma-separated." placeholder:"CIDR"`
	RateLimit      int           `default:"600" help:"New tickets per minute and address (IPv6: per /64), on this node, in a bounded table. The other limits follow from it, per minute: 20 times as many requests per address, 10 times as many phone calls per address, twice as many per user; a tenth of refused calls per user. New tickets are also limited per IPv6 /48 (8 times as many) and on the node (100 times); codes that a provider refused per address (a tenth, at least 60) and per address and ticket (10). An address holds at most half of max-sockets, or 1000, waiting pages, and a quarter more connections; trusted proxies as many as there may be. 0 turns all of them off, but never this one: wrong numbers per user are 6 a minute whatever it says."`
	MaxSockets     int           `help:"Waiting sockets and polls on this node. Default: from the file limit."`
	Drain          time.Duration `default:"10s" help:"Over how long a stopping node closes its sockets."`
	Sandbox        bool          `help:"Allow the sandbox with an https public URL: in it anyone can log in as anyone."`
	TLSCert        string        `name:"tls-cert" help:"Path of a PEM certificate chain, if no proxy ends TLS; read again when it changes." placeholder:"PATH"`
	TLSKey         string        `name:"tls-key" help:"Path of its PEM key." placeholder:"PATH"`
	InsecureHTTP   bool          `name:"insecure-http" help:"Allow a public http URL that is not local: anyone on the network path can read tokens."`
	AuditHash      bool          `help:"Name users in the audit log by a keyed hash in place of their identifiers."`
	AuditFile      string        `help:"Path of a file that the audit is appended to, in place of the log: JSON, made with mode 0600, opened again after SIGHUP or when it was moved." placeholder:"PATH"`
	AuditRequired  bool          `help:"Refuse tickets and calls with 503 overloaded while the audit's lines cannot be written, in place of dropping the lines."`
	Log            string        `default:"info" enum:"debug,info,warn,error" help:"debug, info, warn or error. The audit is written at any level."`

	clientsHaveProviders bool  // a client has a provider of its own: no sandbox
	files                files // those that were read
}

// defaultPublicURL is the issuer where none is set: the same on all nodes.
const defaultPublicURL = "http://localhost:8080"

// defaultDrain is Config.Drain's.
const defaultDrain = 10 * time.Second

// embedded reports whether tickets stay in this process.
func (c *Config) embedded() bool { return c.RedisURL == "" || c.RedisURL == redisstore.Embedded }

// sandbox reports whether no provider is configured, so that the built-in
// imitation takes its place.
func (c *Config) sandbox() bool {
	return len(c.credentials().providers()) == 0 && !c.clientsHaveProviders
}

// secretSettings are the settings that can also be given as a file.
func (c *Config) secretSettings() map[string][2]*string {
	return map[string][2]*string{
		"LOGINHUB_REDIS_URL":             {&c.RedisURL, &c.RedisURLFile},
		"LOGINHUB_KEYS":                  {&c.Keys, &c.KeysFile},
		"LOGINHUB_WECHAT_APP_SECRET":     {&c.WechatAppSecret, &c.WechatAppSecretFile},
		"LOGINHUB_WECHAT_WEB_APP_SECRET": {&c.WechatWebAppSecret, &c.WechatWebAppSecretFile},
	}
}

// load reads the files that the settings name, and checks everything.
func (c *Config) load() (*settings, error) {
	if err := c.readFiles(); err != nil {
		return nil, err
	}
	return c.validate()
}

// readFiles fills secrets from the files that are named in their place, and takes
// off what stands around those that are not.
func (c *Config) readFiles() error {
	var errs []error
	for name, s := range c.secretSettings() {
		value, path := s[0], s[1]
		var err error
		lines := value == &c.Keys
		switch {
		case *path != "" && *value != "":
			err = fmt.Errorf("%s and %s_FILE are both set; keep one", name, name)
		case *path != "":
			if *value, err = readSecretFile(*path, lines, c.read); err != nil {
				err = fmt.Errorf("%s_FILE: %w", name, err)
			}
		case *value != "":
			if *value, err = parseSecret(*value, lines); err != nil {
				err = fmt.Errorf("%s: %w", name, err)
			}
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// LogValue is the configuration as it may be logged: of a secret only whether
// it is set.
func (c *Config) LogValue() slog.Value {
	set := func(secret string) string {
		if secret == "" {
			return ""
		}
		return "[set]"
	}
	return slog.GroupValue(
		slog.String("listen", c.Listen), slog.String("admin_listen", c.AdminListen),
		slog.String("public_url", c.PublicURL), slog.String("redis_url", set(c.RedisURL)), slog.Int("redis_wait", c.RedisWait), slog.String("redis_prefix", c.RedisPrefix),
		slog.String("redis_ca", c.RedisCA), slog.String("redis_cert", c.RedisCert),
		slog.String("keys", set(c.Keys)), slog.String("clients", c.Clients),
		slog.String("wechat_app_id", c.WechatAppID), slog.String("wechat_app_secret", set(c.WechatAppSecret)),
		slog.String("wechat_web_app_id", c.WechatWebAppID), slog.String("wechat_web_app_secret", set(c.WechatWebAppSecret)),
		slog.String("wechat_api_url", c.WechatAPIURL), slog.String("wechat_open_url", c.WechatOpenURL),
		slog.String("wechat_verify_file", set(c.WechatVerifyFile)), slog.String("wechat_page", c.WechatPage),
		slog.String("wechat_env_version", c.WechatEnvVersion), slog.Bool("wechat_check_path", c.WechatCheckPath),
		slog.Bool("wechat_scheme", c.WechatScheme), slog.String("app_jwks_url", c.AppJWKSURL), slog.String("app_issuer", c.AppIssuer),
		slog.String("qr", c.QR), slog.String("qr_level", c.QRLevel), slog.String("qr_logo", c.QRLogo),
		slog.String("ticket_ttl", c.TicketTTL.String()), slog.String("confirm_ttl", c.ConfirmTTL.String()),
		slog.String("result_ttl", c.ResultTTL.String()), slog.String("token_ttl", c.TokenTTL.String()),
		slog.Any("trusted_proxies", c.TrustedProxies), slog.Int("rate_limit", c.RateLimit),
		slog.String("tls_cert", c.TLSCert), slog.Bool("insecure_http", c.InsecureHTTP), slog.Bool("audit_hash", c.AuditHash),
		slog.String("audit_file", c.AuditFile), slog.Bool("audit_required", c.AuditRequired), slog.String("log", c.Log),
		slog.Int("max_sockets", c.MaxSockets), slog.String("drain", c.Drain.String()), slog.Bool("sandbox", c.sandbox()))
}

// unknownEnv are the environment variables with our prefix that are no setting: a
// misspelt name must not pass for the default in silence.
func unknownEnv(settings []*kong.Flag) (names []string) {
	known := map[string]bool{}
	for _, f := range settings {
		for _, name := range f.Envs {
			known[name] = true
		}
	}
	for _, entry := range os.Environ() {
		name, _, _ := strings.Cut(entry, "=")
		if strings.HasPrefix(name, "LOGINHUB_") && !known[name] {
			names = append(names, name)
		}
	}
	return names
}

// normalizeEnv takes the white space around settings off in the environment, for a secret
// that was made with `echo` ends with a line break, and takes empty settings out:
// compose files and charts set what they leave out to nothing. An empty admin
// address means off.
func normalizeEnv() error {
	for _, entry := range os.Environ() {
		name, value, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, "LOGINHUB_") {
			continue
		}
		tidied := strings.TrimSpace(strings.TrimPrefix(value, "\ufeff"))
		if tidied == "" && name != "LOGINHUB_ADMIN_LISTEN" {
			if err := os.Unsetenv(name); err != nil {
				return fmt.Errorf("unset %s: %w", name, err)
			}
		} else if err := os.Setenv(name, tidied); err != nil {
			return fmt.Errorf("set %s: %w", name, err)
		}
	}
	return nil
}
