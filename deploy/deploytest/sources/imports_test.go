package sources_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// allowedImports lists the allowed imports within the project. A new import is a design decision
// and is added here.
var allowedImports = map[string][]string{
	"cmd/loginbench":             {"cmd/loginbench/bare", "wechat/wechattest"}, // otherwise it is an external client
	"cmd/loginbench/bare":        {},
	"cmd/loginhub/check":         {"hub/outbox", "hub/provider", "hub/redisstore", "hub/ticket"},
	"cmd/loginhub/devicelogin":   {"api/qr"},
	"cmd/loginhub/auditchain":    {},
	"cmd/loginhub/logqueue":      {},
	"cmd/loginhub/status":        {"api", "hub", "hub/redisstore", "hub/ticket"},
	"cmd/loginhub/metrics":       {"api", "api/oidc", "api/ratelimit", "cmd/loginhub/logqueue", "hub", "hub/outbox", "hub/provider", "hub/redisstore", "hub/ticket", "hub/trace"},
	"cmd/loginhub":               {"api", "api/gate", "api/geoip", "api/oidc", "api/qr", "api/token", "cmd/loginhub/auditchain", "cmd/loginhub/check", "cmd/loginhub/devicelogin", "cmd/loginhub/logqueue", "cmd/loginhub/metrics", "cmd/loginhub/status", "cmd/loginhub/tracing", "frontend", "hub", "hub/client", "hub/keys", "hub/provider", "hub/provider/alipay", "hub/provider/app", "hub/provider/app/assertion", "hub/provider/feishu", "hub/provider/qq", "hub/provider/dingtalk", "hub/provider/oidc", "hub/provider/sandbox", "hub/provider/wechat", "hub/provider/wecom", "hub/redisstore", "hub/ticket", "hub/trace"},
	"cmd/loginhub/tracing":       {"hub/trace"},
	"api":                        {"api/apidocs", "api/consent", "api/events", "api/gate", "api/geoip", "api/login", "api/notify", "api/oidc", "api/qr", "api/ratelimit", "api/request", "api/token", "api/visit", "api/weblogin", "frontend", "hub", "hub/client", "hub/outbox", "hub/provider", "hub/ticket", "hub/trace"},
	"api/gate":                   {"api/geoip", "api/notify", "api/qr", "api/ratelimit", "api/request", "api/token", "hub", "hub/client", "hub/outbox", "hub/provider", "hub/ticket", "hub/trace"},
	"api/events":                 {"api/gate", "api/request", "hub/provider", "hub/ticket"},
	"api/geoip":                  {"hub/provider"},
	"api/geoip/geoiptest":        {},
	"api/login":                  {"api/gate", "api/geoip", "api/qr", "api/ratelimit", "api/request", "hub", "hub/client", "hub/provider", "hub/ticket"},
	"api/notify":                 {"hub/client", "hub/outbox", "hub/provider", "hub/ticket"},
	"api/oidc":                   {"api/gate", "api/notify", "api/ratelimit", "api/request", "api/token", "hub", "hub/client", "hub/outbox", "hub/provider", "hub/provider/app/assertion", "hub/ticket"},
	"api/consent":                {"api/gate", "api/login", "api/oidc", "api/request", "api/visit", "frontend", "hub", "hub/client", "hub/provider", "hub/ticket"},
	"api/visit":                  {"api/gate", "api/request", "hub/provider", "hub/ticket"},
	"api/weblogin":               {"api/gate", "api/ratelimit", "api/request", "api/visit", "hub", "hub/client", "hub/provider", "hub/ticket"},
	"api/apitest":                {},
	"api/apitest/contract":       {"api/apitest"},
	"api/apitest/readqr":         {},
	"api/request":                {"api/ratelimit", "hub/ticket", "hub/trace"},
	"api/apidocs":                {"frontend"},
	"api/qr":                     {"api/ratelimit", "hub/provider", "hub/ticket"},
	"api/ratelimit":              {"hub/provider", "hub/ticket"},
	"hub/provider/app/assertion": {},
	"api/token":                  {"hub/keys"},
	"hub":                        {"hub/client", "hub/keys", "hub/provider", "hub/ticket", "hub/trace"},
	"hub/outbox":                 {},
	"hub/redisstore":             {"hub/outbox", "hub/ticket", "hub/trace"},
	"hub/keys":                   {},
	"hub/ticket":                 {"hub/client", "hub/provider"},
	"hub/trace":                  {"hub/ticket"},
	"hub/client":                 {},
	"hub/provider":               {},
	"hub/provider/app":           {"hub/provider", "hub/provider/app/assertion"},
	"hub/provider/oidc":          {"hub/provider"},
	"hub/provider/oidc/oidctest": {"hub/provider/providertest"},
	"hub/provider/sandbox":       {"hub/provider"},
	"hub/provider/wechat":        {"hub/provider", "wechat"},
	"hub/hubtest":                {"hub", "hub/keys", "hub/ticket"},
	"hub/chaos":                  {},
	"wechat":                     {},
	"wechat/wechattest":          {},
	"wechat/wechattest/server":   {"wechat/wechattest"},
	"frontend":                   {},
	"frontend/bundle":            {},
	"deploy/deploytest":          {},
	"deploy/deploytest/sources":  {},
	"deploy/release":             {},

	// Providers. Each has its imitation below it.
	"hub/provider/httpcall":                {"hub/provider"},
	"hub/provider/providertest":            {"hub/provider"},
	"hub/provider/dingtalk":                {"hub/provider", "hub/provider/httpcall"},
	"hub/provider/dingtalk/dingtalktest":   {"hub/provider/providertest"},
	"hub/provider/qq":                      {"hub/provider", "hub/provider/httpcall"},
	"hub/provider/qq/qqtest":               {"hub/provider/providertest"},
	"hub/provider/feishu":                  {"hub/provider", "hub/provider/httpcall"},
	"hub/provider/feishu/feishutest":       {"hub/provider/providertest"},
	"hub/provider/alipay":                  {"hub/provider", "hub/provider/httpcall"},
	"hub/provider/alipay/alipaytest":       {"hub/provider/providertest"},
	"hub/provider/wecom":                   {"hub/provider", "hub/provider/httpcall"},
	"hub/provider/wecom/wecomtest":         {"hub/provider/providertest"},
	"hub/provider/providertest/imitations": {"hub/provider/alipay/alipaytest", "hub/provider/feishu/feishutest", "hub/provider/qq/qqtest", "hub/provider/dingtalk/dingtalktest", "hub/provider/oidc/oidctest", "hub/provider/providertest", "hub/provider/wecom/wecomtest"},
	"hub/provider/providertest/server":     {"hub/provider/providertest", "hub/provider/providertest/imitations"},
}

// moduleUsers lists the modules that only some packages may import.
var moduleUsers = map[string][]string{
	"github.com/evanw/esbuild":                 {"frontend/bundle"},
	"github.com/labstack/echo/v4":              {"api", "api/consent", "api/events", "api/gate", "api/login", "api/oidc", "api/request", "api/visit", "api/weblogin", "cmd/loginbench/bare"},
	"github.com/skip2/go-qrcode":               {"api/qr"},
	"github.com/redis/go-redis/v9":             {"hub/redisstore", "hub/hubtest", "cmd/loginbench/bare"},
	"github.com/alicebob/miniredis/v2":         {"hub/redisstore"},
	"github.com/coder/websocket":               {"cmd/loginhub/check", "hub", "hub/hubtest", "cmd/loginbench/bare"}, // check: `loginhub check` opens a socket
	"github.com/go-jose/go-jose/v4":            {"api/oidc", "api/token", "cmd/loginbench", "cmd/loginhub/devicelogin", "hub/hubtest", "hub/provider/app/assertion", "hub/provider/oidc/oidctest"},
	"github.com/coreos/go-oidc/v3":             {"hub/provider/oidc"},
	"golang.org/x/oauth2":                      {"cmd/loginbench", "hub/provider/oidc"},
	"github.com/alecthomas/kong":               {"cmd/loginhub", "cmd/loginbench"},
	"github.com/mileusna/useragent":            {"api/request"},
	"golang.org/x/crypto":                      {"hub/redisstore", "hub/ticket"},
	"go.yaml.in/yaml/v3":                       {"api/apidocs", "api/apitest", "cmd/loginhub"},
	"github.com/prometheus/client_golang":      {"cmd/loginhub/metrics"},
	"github.com/santhosh-tekuri/jsonschema/v6": {"api/apitest"},
	"go.opentelemetry.io":                      {"cmd/loginhub/tracing", "hub/hubtest", "hub/trace"},
	"github.com/go-logr/logr":                  {"cmd/loginhub/tracing"},
	"github.com/oschwald/maxminddb-golang/v2":  {"api/geoip"},
	"github.com/maxmind/mmdbwriter":            {"api/geoip/geoiptest"},
}

// stdlibOnly lists the packages that import only the standard library and the modules
// that moduleUsers names for them.
var stdlibOnly = []string{"hub/client", "hub/keys", "hub/provider", "hub/ticket"}

// testImports lists what the tests of a package may import beside the package itself and
// its own imports. Nothing here is above the package.
var testImports = map[string][]string{
	"api":                      {"api/apitest"},
	"api/apitest":              {"api", "api/gate", "api/geoip", "api/geoip/geoiptest", "api/qr", "api/ratelimit", "api/request", "api/token", "frontend", "hub", "hub/client", "hub/hubtest", "hub/keys", "hub/provider", "hub/provider/sandbox", "hub/redisstore", "hub/ticket", "hub/trace"},
	"api/geoip":                {"api/geoip/geoiptest"},
	"api/oidc":                 {"hub/keys"},
	"api/request":              {"hub/client", "hub/provider"},
	"cmd/loginhub":             {"api/apitest", "api/geoip/geoiptest", "hub/hubtest", "hub/provider/providertest", "hub/provider/providertest/imitations", "hub/provider/wecom/wecomtest", "wechat/wechattest"},
	"cmd/loginhub/devicelogin": {"hub/hubtest"},
	"cmd/loginhub/logqueue":    {"hub/hubtest"},
	"deploy/deploytest":        {"api/token", "hub/hubtest", "hub/keys"},
	"hub":                      {"hub/hubtest", "hub/keys", "hub/provider", "hub/redisstore"},
	"hub/chaos":                {"hub/hubtest", "wechat/wechattest"},
	"hub/provider/oidc":        {"hub/provider/oidc/oidctest", "hub/provider/providertest"},
	"hub/provider/dingtalk":    {"hub/provider/providertest", "hub/provider/dingtalk/dingtalktest"},
	"hub/provider/qq":          {"hub/provider/providertest", "hub/provider/qq/qqtest"},
	"hub/provider/feishu":      {"hub/provider/feishu/feishutest", "hub/provider/providertest"},
	"hub/provider/alipay":      {"hub/provider/alipay/alipaytest", "hub/provider/providertest"},
	"hub/provider/wecom":       {"hub/provider/providertest", "hub/provider/wecom/wecomtest"},
	"hub/outbox":               {"hub/redisstore"},
	"hub/redisstore":           {"hub/hubtest"},
	"hub/provider/wechat":      {"wechat/wechattest"},
	"wechat":                   {"wechat/wechattest"},
}

// TestImports: imports point one way, in tests too.
func TestImports(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}} | {{join .TestImports " "}} {{join .XTestImports " "}}`, "loginhub/...").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(strings.TrimSpace(string(out)), "\n") {
		product, tests, _ := strings.Cut(line, "|")
		words := strings.Fields(product)
		from := strings.TrimPrefix(words[0], "loginhub/")
		allowed, known := allowedImports[from]
		if !known {
			t.Errorf("package %s is not in the table: add what it may import", from)
		}
		for _, path := range words[1:] {
			checkImport(t, from, path, allowed)
		}
		for _, path := range strings.Fields(tests) {
			to, ours := strings.CutPrefix(path, "loginhub/")
			if ours && to != from && !slices.Contains(slices.Concat(allowed, testImports[from]), to) {
				t.Errorf("a test of %s imports %s", from, to)
			}
		}
	}
}

func checkImport(t *testing.T, from, path string, allowed []string) {
	t.Helper()
	to, ours := strings.CutPrefix(path, "loginhub/")
	if ours && !slices.Contains(allowed, to) {
		t.Errorf("%s imports %s", from, to)
	}
	named := false
	for module, at := range moduleUsers {
		if path == module || strings.HasPrefix(path, module+"/") {
			if named = slices.Contains(at, from); !named {
				t.Errorf("%s imports %s, which only %v may import", from, path, at)
			}
		}
	}
	if !ours && !named && slices.Contains(stdlibOnly, from) && strings.Contains(path, ".") {
		t.Errorf("%s imports %s; it may import the standard library only", from, path)
	}
}
