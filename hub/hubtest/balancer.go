package hubtest

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// StartBalancer starts a load balancer with its shipped configuration. program is nginx,
// haproxy, caddy or traefik, or the path of one; deploy is the path of the folder deploy. It listens on a free port,
// all but nginx with TLS, and uses the given nodes (host:port). edit, which may be nil,
// changes the configuration's text. It returns the balancer's URL.
func StartBalancer(t testing.TB, program, deploy string, nodes []string, edit func(string) string) string {
	t.Helper()
	kind := filepath.Base(program)
	if kind == "nginx" {
		return StartNginx(t, deploy+"/nginx/loginhub.conf", nodes, edit)
	}
	dir, port := t.TempDir(), FreePort(t)
	cert, key := NewCA(t).Issue(t, kind, time.Now().Add(time.Hour), "127.0.0.1")
	write := func(name, shipped string, edits ...string) string {
		text, err := os.ReadFile(filepath.Join(deploy, kind, shipped))
		if err != nil {
			t.Fatal(err)
		}
		changed := strings.NewReplacer(edits...).Replace(withServers(string(text), nodes))
		if edit != nil {
			changed = edit(changed)
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(changed), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	p, args := &process{}, []string{}
	switch kind {
	case "haproxy":
		both := filepath.Join(dir, "both.pem")
		writeBoth(t, both, cert, key)
		args = []string{"-db", "-f", write("haproxy.cfg", "haproxy.cfg", "bind :443 ssl crt /etc/haproxy/loginhub.pem", "bind 127.0.0.1:"+port+" ssl crt "+both,
			"    bind :80\n", "", "maxconn 100000", "maxconn 8000")}
	case "caddy":
		args = []string{"run", "--adapter", "caddyfile", "--config", write("Caddyfile", "Caddyfile", "\nlogin.example.com {\n", "\nhttps://127.0.0.1:"+port+" {\n\tbind 127.0.0.1\n\ttls "+cert+" "+key+"\n",
			"\n{\n\tservers", "\n{\n\tadmin off\n\tauto_https disable_redirects\n\tservers")}
	case "traefik":
		dynamic := write("dynamic.yaml", "dynamic.yaml", "/etc/traefik/tls.crt", cert, "/etc/traefik/tls.key", key)
		args = []string{"--configFile=" + write("traefik.yaml", "traefik.yaml", "/etc/traefik/dynamic.yaml", dynamic, `":443"`, `"127.0.0.1:`+port+`"`, `":80"`, `"127.0.0.1:`+FreePort(t)+`"`)}
	}
	p.run(t, append(os.Environ(), "HOME="+dir, "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir), program, args...)
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("%s: %s", kind, p.Log())
		}
	})
	url := "https://127.0.0.1:" + port
	Eventually(t, 20*time.Second, kind+" answers", func() bool {
		a, err := Request(Context(t, 2*time.Second), "GET", url+"/readyz", nil)
		return err == nil && a.Status == 200
	})
	return url
}

// withServers replaces hub1, hub2 and hub3 by the given nodes: in a line of hub1 alone,
// which is repeated, or in a line of all three.
func withServers(conf string, nodes []string) string {
	all := regexp.MustCompile(`hub1:8080 hub2:8080 hub3:8080`)
	conf = all.ReplaceAllString(conf, strings.Join(nodes, " "))
	one := regexp.MustCompile(`(?m)^ *(?:server|- url:) .*hub(\d):8080.*\n`)
	return one.ReplaceAllStringFunc(conf, func(line string) string {
		if one.FindStringSubmatch(line)[1] != "1" {
			return ""
		}
		var lines strings.Builder
		for i, n := range nodes {
			lines.WriteString(strings.NewReplacer("hub1:8080", n, "hub1", "hub"+string(rune('1'+i))).Replace(line))
		}
		return lines.String()
	})
}

// writeBoth writes a certificate and its key into one file.
func writeBoth(t testing.TB, path, cert, key string) {
	t.Helper()
	var both []byte
	for _, from := range []string{cert, key} {
		text, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		both = append(both, text...)
	}
	if err := os.WriteFile(path, both, 0o600); err != nil {
		t.Fatal(err)
	}
}
