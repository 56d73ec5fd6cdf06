package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"loginhub/api/geoip"
	"loginhub/hub/redisstore"
)

// Config holds all settings of a node. Each field is a flag (--public-url), an
// environment variable (LOGINHUB_PUBLIC_URL) and a line of --help.
type Config struct {
	ConfigFile string `name:"config" help:"Path of a file with settings (YAML): each key is a variable's name in lower case, without LOGINHUB_; beside them providers and clients, as in the clients file. Variables and flags override it. Providers and clients are read again when it changes." placeholder:"PATH"`

	Listen         string `default:":8080" help:"Address of the public listener."`
	AdminListen    string `default:"127.0.0.1:9090" help:"Address of the metrics, pprof, the kill switch and the admin page, for operators only. Empty turns it off."`
	AdminToken     string `help:"Token that the admin address demands (Authorization: Bearer) for everything but the metrics and the sites' names and states: at least 32 letters, digits or -._~+/, for example of 'openssl rand -hex 32'. Default: none; anyone who reaches the address acts as an operator." placeholder:"TOKEN"`
	AdminTokenFile string `help:"Path of a file with that token; read again when it changes." placeholder:"PATH"`
	PublicURL      string `help:"URL that browsers and phones use, for example https://login.example.com; issuer of the tokens. Default: http://localhost with the port of LOGINHUB_LISTEN; with a Redis server http://localhost:8080."`

	RedisURL      string `help:"redis://, rediss:// or unix:// URL. ?addr= adds addresses, ?cluster=true is for Cluster, ?master_name= for Sentinel (user and password before the @ are Sentinel's, ?username=&password= are Redis's). 'embedded' keeps tickets in this process and takes a few hundred logins a second. Default: embedded." placeholder:"URL"`
	RedisURLFile  string `help:"Path of a file with the Redis URL; read only at the start." placeholder:"PATH"`
	RedisWait     int    `help:"How many replicas must have a confirm before the phone is answered, so that a failover cannot lose it. Each confirm costs one more command (WAIT). N needs N+1 replicas: with fewer than N in step a confirm gets 503, though its ticket may be confirmed. Default: none."`
	RedisPrefix   string `default:"loginhub" help:"Prefix of every key and channel in Redis, before a colon; deployments with different prefixes can use one Redis. At most 32 letters, digits, dots, dashes and underscores. Change it in the Redis user's rights (users.acl) too." placeholder:"PREFIX"`
	RedisSharded  bool   `help:"Use sharded pub/sub in a Redis Cluster, so that a message does not pass through every master. Only with ?cluster=true, and only once every node is of a release that knows this setting; then node by node (deploy/RUNBOOK.md, upgrade). A ticket that the other kind of node has made costs one more Redis command per call."`
	RecordVersion int    `enum:"1,2" default:"2" help:"Version of the ticket records that this node writes: 2, encrypted, or 1 while nodes of a release that reads only version 1 run (deploy/RUNBOOK.md, upgrade). Every node reads both."`
	RedisCA       string `name:"redis-ca" help:"Path of the PEM certificates of the authorities for a rediss:// Redis and its Sentinels, instead of the system's." placeholder:"PATH"`
	RedisCert     string `help:"Path of the PEM client certificate for a rediss:// Redis; read again when it changes." placeholder:"PATH"`
	RedisKey      string `help:"Path of the PEM key of that certificate." placeholder:"PATH"`
	Keys          string `help:"Master keys as 'loginhub keygen' prints them, comma-separated, newest first. Random with the embedded Redis, otherwise required." placeholder:"KEY,..."`
	KeysFile      string `help:"Path of a file with the keys; read again when it changes." placeholder:"PATH"`
	RSAKeyFile    string `name:"rsa-key-file" help:"Path of a PEM file with RSA keys, the same on every node, for clients with RS256 tokens; the first signs, all are published. Read again when it changes. Default: the nodes make one key and keep it in Redis, encrypted." placeholder:"PATH"`
	Clients       string `help:"Path of the clients file (YAML); read again when it changes. Default: one client 'default' with the public URL's own origin." placeholder:"PATH"`

	WechatAppID            string `name:"wechat-app-id" help:"The mini-program's AppID. If no provider is set, the sandbox is used."`
	WechatAppSecret        string `help:"The mini-program's AppSecret." placeholder:"SECRET"`
	WechatAppSecretFile    string `help:"Path of a file with that AppSecret." placeholder:"PATH"`
	WechatWebAppID         string `name:"wechat-web-app-id" help:"The website application's AppID, for a login without a mini-program."`
	WechatWebAppSecret     string `help:"The website application's AppSecret." placeholder:"SECRET"`
	WechatWebAppSecretFile string `help:"Path of a file with that AppSecret." placeholder:"PATH"`
	WechatAPIURL           string `name:"wechat-api-url" help:"Base URL of WeChat's API, for tests and proxies. Default: WeChat's own." placeholder:"URL"`
	WechatOpenURL          string `name:"wechat-open-url" help:"Base URL of WeChat's authorize page, for tests. Default: WeChat's own. A website login costs four Redis commands more than a phone's confirm." placeholder:"URL"`
	WechatVerifyFile       string `help:"NAME:CONTENT of WeChat's verification file for the ordinary-link rule, served under /s/." placeholder:"NAME:CONTENT"`
	WechatPage             string `default:"pages/confirm/confirm" help:"The mini-program's confirm page, for 'wxacode' and for the button on phones."`
	WechatEnvVersion       string `enum:"release,trial,develop" default:"release" help:"Version of the mini-program: release, trial or develop."`
	WechatCheckPath        bool   `default:"true" negatable:"" help:"Require that the page exists in the published version; turn off for trial and develop."`
	WechatScheme           bool   `default:"true" negatable:"" help:"Offer 'open WeChat' on phones (weixin://dl/business/). The page must be allowed in WeChat's console (plain scheme)."`
	AppJWKSURL             string `name:"app-jwks-url" help:"URL of your own app's public keys (JWKS, https). Each call of its phones costs one Redis command more, which marks the assertion's jti as used." placeholder:"URL"`
	AppIssuer              string `help:"The iss of your own app's assertions."`
	QR                     string `name:"qr" default:"link" help:"Content of the QR code: 'link', a URL template with {ticket}, or a code that a provider draws: 'wxacode' (WeChat's mini-program), 'wechat_mp' (WeChat's official account), or the provider's id. Each ticket then costs a Redis command and a call to WeChat."`
	QRLevel                string `name:"qr-level" enum:",L,M,Q,H" default:"" help:"Error correction of the QR code: L, M, Q or H. Default: Q with the hub's mark in the SVG, M in the PNG; with a logo H. L and M have no mark."`
	QRLogo                 string `name:"qr-logo" help:"Path of a square PNG (at most 64 KiB) for the middle of the QR code." placeholder:"PATH"`

	TicketTTL  time.Duration `name:"ticket-ttl" default:"2m" help:"Time to scan a new ticket."`
	ConfirmTTL time.Duration `name:"confirm-ttl" default:"1m" help:"Minimum time to confirm after a scan."`
	ResultTTL  time.Duration `name:"result-ttl" default:"1m" help:"How long a confirmed ticket waits for its browser."`
	TokenTTL   time.Duration `name:"token-ttl" default:"5m" help:"Lifetime of a token; at least result-ttl and a minute."`

	TrustedProxies []string      `help:"CIDRs of the proxies whose X-Forwarded-For is trusted, comma-separated." placeholder:"CIDR"`
	GeoIPFile      string        `name:"geoip-file" help:"Path of a GeoIP database (.mmdb, City or Country: GeoLite2, GeoIP2, DB-IP, IP2Location, IPinfo): the phone shows where the computer is, and warns if it is far away. It is kept in memory. Read again when it changes." placeholder:"PATH"`
	ProxyProtocol  bool          `help:"Require a PROXY protocol header, version 2, on every connection from LOGINHUB_TRUSTED_PROXIES. Its client address counts as the peer's, so the proxy must remove X-Forwarded-For. From other addresses no such header is accepted."`
	RateLimit      int           `default:"600" help:"New tickets per minute and address (IPv6: per /64) on this node. Most other limits are multiples of it: see deploy/CONFIGURATION.md. 0 turns them off."`
	MaxSockets     int           `help:"Maximum of waiting sockets and polls on this node. Default: from the file limit."`
	Drain          time.Duration `default:"10s" help:"Time over which a stopping node closes its sockets."`
	Sandbox        bool          `help:"Allow the sandbox with an https public URL: in it anyone can log in as anyone."`
	TLSCert        string        `name:"tls-cert" help:"Path of a PEM certificate chain, if no proxy ends TLS; read again when it changes." placeholder:"PATH"`
	TLSKey         string        `name:"tls-key" help:"Path of the PEM key of that certificate." placeholder:"PATH"`
	InsecureHTTP   bool          `name:"insecure-http" help:"Allow a public http URL that is not local: anyone on the network path can read tokens."`
	AuditHash      bool          `help:"Write a keyed hash of users to the audit log instead of their identifiers."`
	AuditFile      string        `help:"Path of a file for the audit log (JSON, mode 0600), instead of standard error. Opened again after SIGHUP or when it was moved." placeholder:"PATH"`
	AuditChain     bool          `help:"Link the lines of the audit file by hashes and sign them every minute, for 'loginhub audit verify'."`
	AuditRequired  bool          `help:"Refuse tickets and calls with 503 overloaded while the audit log cannot be written, instead of dropping lines."`
	AccessLog      float64       `help:"Share of requests that get a line in the log, from 0 to 1: 0.01 is one in a hundred. Answers of 500 or more always have one, health checks never. A line has the route but neither path nor query. Default: 0, no lines." placeholder:"SHARE"`
	Log            string        `default:"info" enum:"debug,info,warn,error" help:"Log level: debug, info, warn or error. The audit log is written at any level."`

	hasProviders bool                  // set by validate: a provider is configured, so there is no sandbox
	places       *geoip.DB             // kept at a reload; nil: none, or not read yet
	files        files                 // the files that were read
	flags        map[string]*kong.Flag // the settings, by their keys in the file of --config
	file         *configFile           // nil: none
}

// defaultPublicURL is the issuer if none is set: the same on all nodes.
const defaultPublicURL = "http://localhost:8080"

// defaultDrain is the default of Config.Drain.
const defaultDrain = 10 * time.Second

// embedded reports whether tickets are kept in this process.
func (c *Config) embedded() bool { return c.RedisURL == "" || c.RedisURL == redisstore.Embedded }

// sandbox reports whether no provider is configured, so that the built-in sandbox is
// used.
func (c *Config) sandbox() bool {
	return !c.hasProviders
}

// secretSettings returns the settings that can also be read from a file.
func (c *Config) secretSettings() map[string][2]*string {
	return map[string][2]*string{
		"LOGINHUB_ADMIN_TOKEN":           {&c.AdminToken, &c.AdminTokenFile},
		"LOGINHUB_REDIS_URL":             {&c.RedisURL, &c.RedisURLFile},
		"LOGINHUB_KEYS":                  {&c.Keys, &c.KeysFile},
		"LOGINHUB_WECHAT_APP_SECRET":     {&c.WechatAppSecret, &c.WechatAppSecretFile},
		"LOGINHUB_WECHAT_WEB_APP_SECRET": {&c.WechatWebAppSecret, &c.WechatWebAppSecretFile},
	}
}

// load reads the files that the settings name, and validates all settings.
func (c *Config) load() (*settings, error) {
	if err := c.readConfigFile(); err != nil {
		return nil, err
	}
	if err := c.readFiles(); err != nil {
		return nil, err
	}
	return c.validate()
}

// readFiles reads secrets from the files that are named for them. It removes white
// space around secrets that are given directly.
func (c *Config) readFiles() error {
	var errs []error
	for name, s := range c.secretSettings() {
		errs = append(errs, c.readSecretSetting(name, s[0], s[1]))
	}
	return errors.Join(errs...)
}

// readSecretSetting reads one secret from its file, if there is one.
func (c *Config) readSecretSetting(name string, value, path *string) (err error) {
	lines := value == &c.Keys
	switch {
	case *path != "" && *value != "":
		return fmt.Errorf("%s and %s_FILE are both set; keep one", name, name)
	case *path != "":
		if *value, err = readSecretFile(*path, lines, c.read); err != nil {
			return fmt.Errorf("%s_FILE: %w", name, err)
		}
	case *value != "":
		if *value, err = parseSecret(*value, lines); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// LogValue returns the configuration for a log line. Of a secret it says only whether
// it is set.
func (c *Config) LogValue() slog.Value {
	set := func(secret string) string {
		if secret == "" {
			return ""
		}
		return "[set]"
	}
	return slog.GroupValue(
		slog.String("config", c.ConfigFile), slog.String("listen", c.Listen), slog.String("admin_listen", c.AdminListen), slog.String("admin_token", set(c.AdminToken)),
		slog.String("public_url", c.PublicURL), slog.String("redis_url", set(c.RedisURL)), slog.Int("redis_wait", c.RedisWait), slog.String("redis_prefix", c.RedisPrefix),
		slog.Bool("redis_sharded", c.RedisSharded),
		slog.Int("record_version", c.RecordVersion),
		slog.String("redis_ca", c.RedisCA), slog.String("redis_cert", c.RedisCert),
		slog.String("keys", set(c.Keys)), slog.String("rsa_key_file", c.RSAKeyFile), slog.String("clients", c.Clients),
		slog.String("wechat_app_id", c.WechatAppID), slog.String("wechat_app_secret", set(c.WechatAppSecret)),
		slog.String("wechat_web_app_id", c.WechatWebAppID), slog.String("wechat_web_app_secret", set(c.WechatWebAppSecret)),
		slog.String("wechat_api_url", hideSecrets(c.WechatAPIURL)), slog.String("wechat_open_url", hideSecrets(c.WechatOpenURL)),
		slog.String("wechat_verify_file", set(c.WechatVerifyFile)), slog.String("wechat_page", c.WechatPage),
		slog.String("wechat_env_version", c.WechatEnvVersion), slog.Bool("wechat_check_path", c.WechatCheckPath),
		slog.Bool("wechat_scheme", c.WechatScheme), slog.String("app_jwks_url", hideSecrets(c.AppJWKSURL)), slog.String("app_issuer", c.AppIssuer),
		slog.String("qr", c.QR), slog.String("qr_level", c.QRLevel), slog.String("qr_logo", c.QRLogo),
		slog.String("ticket_ttl", c.TicketTTL.String()), slog.String("confirm_ttl", c.ConfirmTTL.String()),
		slog.String("result_ttl", c.ResultTTL.String()), slog.String("token_ttl", c.TokenTTL.String()),
		slog.Any("trusted_proxies", c.TrustedProxies), slog.String("geoip_file", c.GeoIPFile), slog.Bool("proxy_protocol", c.ProxyProtocol), slog.Int("rate_limit", c.RateLimit),
		slog.String("tls_cert", c.TLSCert), slog.Bool("insecure_http", c.InsecureHTTP), slog.Bool("audit_hash", c.AuditHash),
		slog.String("audit_file", c.AuditFile), slog.Bool("audit_chain", c.AuditChain), slog.Bool("audit_required", c.AuditRequired), slog.Float64("access_log", c.AccessLog), slog.String("log", c.Log),
		slog.Int("max_sockets", c.MaxSockets), slog.String("drain", c.Drain.String()), slog.Bool("sandbox", c.sandbox()))
}

// unknownEnv returns the environment variables that begin with LOGINHUB_ and are no
// setting. A misspelt name must not silently mean the default.
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

// normalizeEnv removes white space around settings in the environment: a secret that
// was written with `echo` ends with a line break. It unsets empty settings, because
// compose files and charts set what they leave out to "". An empty admin address
// means off.
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
