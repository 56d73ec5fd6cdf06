package hubtest

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// StartNginx starts nginx with the shipped configuration (deploy/nginx/loginhub.conf;
// conf is its path). It listens on a free port and uses the given nodes (host:port) as
// upstream. edit, which may be nil, changes the configuration's text. It returns the URL
// of nginx.
func StartNginx(t testing.TB, conf string, nodes []string, edit func(string) string) string {
	t.Helper()
	return StartNginxWithMain(t, "", conf, nodes, edit)
}

// withNodes replaces hub1, hub2 and so on in each upstream by the given nodes, with the
// parameters of hub1.
func withNodes(conf string, nodes []string) string {
	server := regexp.MustCompile(`(?m)^ *server hub(\d+):8080 (.*;)\n`)
	return server.ReplaceAllStringFunc(conf, func(line string) string {
		m := server.FindStringSubmatch(line)
		if m[1] != "1" {
			return ""
		}
		var servers strings.Builder
		for _, n := range nodes {
			servers.WriteString("    server " + n + " " + m[2] + "\n")
		}
		return servers.String()
	})
}

// StartNginxWithMain is StartNginx with the shipped main configuration as well
// (deploy/nginx/nginx.conf; main is its path). Its files are in a directory of the test.
func StartNginxWithMain(t testing.TB, main, conf string, nodes []string, edit func(string) string) string {
	t.Helper()
	shipped, err := os.ReadFile(conf)
	if err != nil {
		t.Fatal(err)
	}
	port := FreePort(t)
	text := withNodes(string(shipped), nodes)
	text = strings.Replace(text, "listen 8080;", "listen 127.0.0.1:"+port+";", 1)
	if edit != nil {
		text = edit(text)
	}
	dir := t.TempDir()
	whole := "worker_processes 1; pid nginx.pid; error_log stderr warn;\n" +
		"worker_rlimit_nofile 65536; events { worker_connections 16384; }\n" +
		"http {\n access_log off; client_body_temp_path body; proxy_temp_path proxy;\n" +
		" fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;\n" + text + "}\n"
	if main != "" {
		shipped, err := os.ReadFile(main)
		if err != nil {
			t.Fatal(err)
		}
		whole = strings.NewReplacer("/tmp/", dir+"/", "/dev/stdout", dir+"/access.log",
			"include /etc/nginx/conf.d/*.conf;", text).Replace(string(shipped))
	}
	path := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(path, []byte("daemon off;\n"+whole), 0o600); err != nil {
		t.Fatal(err)
	}
	os.Chmod(dir, 0o755) // the workers run as another user
	var p process
	p.run(t, nil, "nginx", "-p", dir, "-c", path, "-e", "stderr")
	t.Cleanup(func() {
		p.Terminate() // the master process stops its workers
		<-p.done
		if t.Failed() {
			t.Logf("nginx: %s", p.Log())
		}
	})
	n := &Node{URL: "http://127.0.0.1:" + port}
	Eventually(t, 10*time.Second, "nginx answers", func() bool { return n.Get("/healthz") == 200 })
	return n.URL
}
