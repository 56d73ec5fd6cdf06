package main_test

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"loginhub/hub/hubtest"
)

// TestConfig_Commands runs the commands that need no node. None prints a secret.
func TestConfig_Commands(t *testing.T) {
	t.Parallel()
	secret := hubtest.Key
	path, wrong := filepath.Join(t.TempDir(), "loginhub.yaml"), filepath.Join(t.TempDir(), "wrong.yaml")
	replaceFile(t, path, "listen: 127.0.0.1:1\nkeys: "+secret+"\nclients: [{id: a, origins: ['https://a.test']}]\n")
	replaceFile(t, wrong, "listn: x")
	inline, pipe := filepath.Join(t.TempDir(), "inline.yaml"), filepath.Join(t.TempDir(), "pipe")
	queried := hubtest.WriteFile(t, "queried.yaml", "providers: [{id: p, kind: app, issuer: i, jwks_url: 'https://a.test/keys?access_token="+secret+"'}]\nclients: [{id: a, origins: ['https://a.test'], subject_map: 'https://b.test/map?key="+secret+"'}]")
	replaceFile(t, inline, "clients: [{id: a, secret: "+secret+"}]")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		exit int
		want []string
	}{
		{[]string{"config", "check", "--config", path}, 0, []string{"ok; clients: 1, providers: sandbox"}},
		{[]string{"config", "check", "--config=" + wrong}, 2, []string{wrong + ": line 1", "listen?"}},
		{[]string{"config", "show", "--config", path, "--rate-limit", "5"}, 0, []string{"listen: 127.0.0.1:1 # " + path + ", line 1\n", "rate_limit: 5 # --rate-limit\n",
			"log: warn # LOGINHUB_LOG\n", "drain: 10s # default\n", "keys: '[set]'", "id: a"}},
		{[]string{"config", "show", "--config", inline, "--wechat-api-url", "https://u:" + secret + "@proxy"}, 0, []string{"not shown, because they are not valid", "https://[set]@proxy"}},
		{[]string{"config", "show", "--wechat-api-url", "https://u:a/" + secret + "@proxy", "--app-jwks-url", "https://a.test/keys?access_token=" + secret}, 0,
			[]string{"wechat_api_url: https://[set] #", "app_jwks_url: https://a.test/keys?[set] #"}},
		{[]string{"config", "show", "--wechat-api-url", "https://u:1/" + secret + "@proxy", "--app-jwks-url", "https://u:1?" + secret + "@a.test/keys"}, 0,
			[]string{"wechat_api_url: https://[set] #", "app_jwks_url: https://[set] #"}},
		{[]string{"config", "show", "--config", queried}, 0, []string{"jwks_url: 'https://a.test/keys?[set]'", "subject_map: 'https://b.test/map?[set]'"}},
		{[]string{"keys", "revoke", "kid", "--admin", "http://u:" + secret + "@127.0.0.1:1/?" + secret}, 1, []string{"http://[set]@127.0.0.1:1/?[set]: dial tcp"}},
		{[]string{"login", "--client", "cli", "--issuer", "https://u:" + secret + "@login.test"}, 1, []string{"not a URL like"}},
		{[]string{"config", "check", "--config", pipe}, 2, []string{"is not a regular file"}},
		{[]string{"config", "schema"}, 0, []string{`"additionalProperties": false`, `"const": "wecom"`}},
		{[]string{"--version"}, 0, []string{"go1.", "github.com/coder/websocket v1."}},
		{[]string{"completion", "bash"}, 0, []string{"keygen", "--public-url", "complete -o default -F _loginhub loginhub"}},
		{[]string{"completion", "fish"}, 0, []string{"__fish_seen_subcommand_from keys' -f -a revoke"}},
		{[]string{"keygen", "--help"}, 0, []string{"Usage: loginhub keygen"}},
	} {
		out, exit := hubtest.Run(t, program, c.args, "LOG=warn")
		if exit != c.exit || strings.Contains(out, secret) || strings.Contains(out, "--listen=") && c.args[0] == "keygen" {
			t.Errorf("%q: exit %d\n%s", c.args, exit, out)
		}
		for _, want := range c.want {
			if !strings.Contains(out, want) {
				t.Errorf("%q does not print %q:\n%s", c.args, want, out)
			}
		}
	}
}

// TestConfigFile_Reload: a reload applies the file's clients. Other settings need a restart,
// which the log says.
func TestConfigFile_Reload(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "loginhub.yaml")
	replaceFile(t, path, "ticket_ttl: 2m\nclients: [{id: a, origins: ['https://a.test']}]")
	n := hubtest.StartNode(t, program, "REDIS_URL=embedded", "KEYS="+hubtest.Key, "CONFIG="+path)
	ctx := hubtest.Context(t, 60*time.Second)
	replaceFile(t, path, "ticket_ttl: 3m\nclients: [{id: b, origins: ['https://b.test']}]")
	sendSIGHUP(t, n)
	waitLog(t, n, 1, `"needs_restart":["ticket_ttl"],"clients_added":["b"]`)
	if _, err := hubtest.CreateTicket(ctx, n.URL, map[string]string{"client_id": "b"}); err != nil {
		t.Error(err)
	}
}
