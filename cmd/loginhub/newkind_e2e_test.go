package main_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"loginhub/hub/hubtest"
)

// throwaway is a whole provider: phones bring a code, and browsers go to its page.
const throwaway = `package throwaway

import (
	"context"

	"loginhub/hub/provider"
)

func Kind() provider.Kind {
	return provider.Kind{Name: "throwaway", Label: provider.Label{ZH: "新", EN: "New"}, Token: provider.TokenForm{AMR: "new", Prefix: "new"},
		ByPhone: true, ByRedirect: true, CodeParam: "authCode",
		Read: func(f *provider.Fields) provider.Config { return &config{f.Text("corp_id", "x"), f.Secret("secret")} }}
}

type config struct{ corp, secret string }

func (c *config) Open(provider.Env) (provider.Access, error) { return provider.Access{Code: c, Redirect: c}, nil }
func (c *config) Check(context.Context, provider.Env) []provider.Finding { return nil }
func (c *config) Authorize(_ context.Context, v provider.Visit) (string, error) {
	return "https://new.test/?state=" + v.State + "&to=" + v.Callback, nil
}
func (c *config) Origin() string { return "https://new.test" }
func (c *config) Exchange(_ context.Context, p provider.Credential) (provider.Identity, error) {
	if p.Code != "code of " + c.secret {
		return provider.Identity{}, provider.ErrCodeInvalid
	}
	return provider.Identity{Realm: c.corp, Subject: "li"}, nil
}
`

// buildWithKind builds the program with one package and one line more.
func buildWithKind(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	table, err := os.ReadFile("kinds.go")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(string(table), "sandbox.Kind(),", "sandbox.Kind(),\n\t\tthrowaway.Kind(),", 1)
	text = strings.Replace(text, `"loginhub/hub/provider/sandbox"`, "\"loginhub/hub/provider/sandbox\"\n\t\"loginhub/hub/provider/throwaway\"", 1)
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	replace := map[string]string{}
	for path, text := range map[string]string{"cmd/loginhub/kinds.go": text, "hub/provider/throwaway/throwaway.go": throwaway} {
		file := filepath.Join(dir, filepath.Base(path))
		replace[filepath.Join(root, path)] = file
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(dir, "loginhub")
	build := exec.Command("go", "build", "-overlay", filepath.Join(dir, "overlay.json"), "-o", binary, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // as in the image: one cache serves both
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return binary
}

// TestNewKind_Login: one package and one line make a provider. A phone logs in with its
// code, and a browser at its page.
func TestNewKind_Login(t *testing.T) {
	t.Parallel()
	node := hubtest.StartNode(t, buildWithKind(t), "PUBLIC_URL="+ourOrigin, "INSECURE_HTTP=true", "CLIENTS="+hubtest.WriteFile(t, "clients.yaml",
		"providers: [{id: staff, kind: throwaway, corp_id: c1, secret_file: "+hubtest.WriteFile(t, "secret", "s3cret\n")+"}]\nclients: [{id: demo, origins: ['"+ourOrigin+"']}]\n"))
	ctx := loginContext(t)
	p := mustOpenWaiter(t, ctx, node.URL, node.URL)
	phone := func(code string) int {
		a, err := hubtest.Request(ctx, "POST", p.URL(node.URL, "confirm"), map[string]string{"provider": "staff", "code": code})
		if err != nil {
			t.Fatal(err)
		}
		return a.Status
	}
	if wrong, good := phone("foreign"), phone("code of s3cret"); wrong != 422 || good != 200 {
		t.Fatalf("a wrong code %d, a good one %d", wrong, good)
	}
	v, err := p.waitToken(ctx, node.URL, "new:c1:li")
	if err != nil {
		t.Fatal(err)
	}
	if claims, _, err := verifyToken(ctx, node.URL, v.Token); err != nil || claims["appid"] != nil || claims["amr"].([]any)[0] != "new" {
		t.Errorf("claims %v %v", claims, err)
	}

	p = mustOpenWaiter(t, ctx, node.URL, node.URL)
	tab := newBrowser(t, node)
	a := tab.do("POST", ourOrigin+"/api/connect/staff", url.Values{"ticket": {p.ID}, "secret": {p.Secret}}, "Origin", ourOrigin)
	to, err := url.Parse(a.Header.Get("Location"))
	if err != nil || a.Status != http.StatusSeeOther || to.Host != "new.test" {
		t.Fatalf("%d to %v: %s", a.Status, to, a.Body)
	}
	back := ourOrigin + "/api/connect/staff/callback?authCode=code+of+s3cret&state=" + to.Query().Get("state")
	wantPage(t, "callback", tab.do("GET", back, nil), 200)
	if _, err := p.waitToken(ctx, node.URL, "new:c1:li"); err != nil {
		t.Error(err)
	}
}
