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
	"cmd/loginhub/logqueue":      {},
	"cmd/loginhub":               {"api", "api/ratelimit", "hub/provider/app/assertion", "api/token", "cmd/loginhub/logqueue", "hub", "hub/client", "hub/keys", "hub/provider", "hub/redisstore", "hub/ticket", "wechat"},
	"api":                        {"api/ratelimit", "api/request", "api/token", "frontend", "hub", "hub/client", "hub/provider", "hub/ticket"},
	"api/apitest":                {},
	"api/request":                {"api/ratelimit", "hub/ticket"},
	"api/ratelimit":              {"hub/provider", "hub/ticket"},
	"hub/provider/app/assertion": {},
	"api/token":                  {"hub/keys"},
	"api/token/verify":           {}, // imported by relying parties
	"hub":                        {"hub/client", "hub/ticket"},
	"hub/redisstore":             {"hub/ticket"},
	"hub/keys":                   {},
	"hub/ticket":                 {"hub/client", "hub/provider"},
	"hub/client":                 {},
	"hub/provider":               {},
	"hub/hubtest":                {},
	"hub/chaos":                  {},
	"wechat":                     {},
	"wechat/wechattest":          {},
	"frontend":                   {},
	"frontend/e2e/wechat":        {"wechat/wechattest"},
	"frontend/e2e/contract":      {"api/apitest"},
	"deploy/examples/go":         {"api/token/verify"},
	"deploy/deploytest":          {},
	"deploy/deploytest/sources":  {},
}

// moduleUsers lists the modules that only some packages may import.
var moduleUsers = map[string][]string{
	"github.com/labstack/echo/v4":              {"api", "api/request", "cmd/loginbench/bare"},
	"github.com/skip2/go-qrcode":               {"api"},
	"github.com/redis/go-redis/v9":             {"hub/redisstore", "hub/hubtest", "cmd/loginbench/bare"},
	"github.com/alicebob/miniredis/v2":         {"hub/redisstore"},
	"github.com/coder/websocket":               {"cmd/loginhub", "hub", "hub/hubtest", "cmd/loginbench/bare"}, // cmd: `loginhub check` opens a socket
	"github.com/go-jose/go-jose/v4":            {"api/token", "hub/provider/app/assertion"},
	"github.com/alecthomas/kong":               {"cmd/loginhub", "cmd/loginbench"},
	"github.com/mileusna/useragent":            {"api/request"},
	"go.yaml.in/yaml/v3":                       {"api", "api/apitest", "cmd/loginhub"},
	"github.com/prometheus/client_golang":      {"cmd/loginhub"},
	"github.com/santhosh-tekuri/jsonschema/v6": {"api/apitest"},
}

// stdlibOnly lists the packages that import only the standard library.
var stdlibOnly = []string{"hub/client", "hub/keys", "hub/provider", "hub/ticket", "api/token/verify"}

func TestImports(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, "loginhub/...").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(strings.TrimSpace(string(out)), "\n") {
		words := strings.Fields(line)
		from := strings.TrimPrefix(words[0], "loginhub/")
		allowed, known := allowedImports[from]
		if !known {
			t.Errorf("package %s is not in the table: add what it may import", from)
		}
		for _, path := range words[1:] {
			to, ours := strings.CutPrefix(path, "loginhub/")
			if ours && !slices.Contains(allowed, to) {
				t.Errorf("%s imports %s", from, to)
			}
			if !ours && slices.Contains(stdlibOnly, from) && strings.Contains(path, ".") {
				t.Errorf("%s imports %s; it may import the standard library only", from, path)
			}
			for module, at := range moduleUsers {
				if (path == module || strings.HasPrefix(path, module+"/")) && !slices.Contains(at, from) {
					t.Errorf("%s imports %s, which only %v may import", from, path, at)
				}
			}
		}
	}
}
