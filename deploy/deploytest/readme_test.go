package deploytest_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"loginhub/hub/hubtest"
)

// snippet writes the README's code block after <!-- name --> to a file of that name.
func snippet(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "<!-- "+name+" -->\n```")
	if !found {
		t.Fatalf("the README has no block %s", name)
	}
	_, rest, _ = strings.Cut(rest, "\n")
	code, _, found := strings.Cut(rest, "\n```")
	if !found {
		t.Fatalf("block %s does not end", name)
	}
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(code+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// tokenFor logs the user in and returns the token that the browser gets.
func tokenFor(ctx context.Context, t *testing.T, url, user, nonce string) string {
	t.Helper()
	ticket, err := hubtest.CreateTicket(ctx, url, map[string]string{"nonce": nonce})
	if err != nil {
		t.Fatal(err)
	}
	if a, err := hubtest.NewPhone(user).Do(ctx, url, ticket.ID, "confirm", nil); err != nil || a.Status != 200 {
		t.Fatalf("confirm: %+v %v", a, err)
	}
	v, err := ticket.Poll(ctx, url, 0, 0)
	if err != nil || v == nil || v.Token == "" {
		t.Fatalf("view %+v %v", v, err)
	}
	return v.Token
}

// TestVerifier_SnippetRefusesWrongTokens runs the README's snippet, which verifies one token.
func TestVerifier_SnippetRefusesWrongTokens(t *testing.T) {
	t.Parallel()
	hub := sandboxHub(t)
	ctx := loginContext(t)
	good := tokenFor(ctx, t, hub, "alice", "n-1")
	verifier := filepath.Join(t.TempDir(), "verify")
	if out, err := exec.Command("go", "-C", "../../api/token/verify", "build", "-o", verifier, snippet(t, "verify.go")).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	call := func(args ...string) (string, error) {
		out, err := exec.Command(verifier, args...).CombinedOutput()
		return strings.TrimSpace(string(out)), err
	}
	if out, err := call(hub, "default", "n-1", good); err != nil || out != "sandbox:alice" {
		t.Errorf("%s %v", out, err)
	}
	for what, args := range map[string][]string{"another session": {hub, "default", "n-2", good}, "another site": {hub, "other", "n-1", good}} {
		if out, err := call(args...); err == nil {
			t.Errorf("%s: %s", what, out)
		}
	}
	for what, text := range hostileTokens(ctx, t, hub, good) {
		if out, err := call(hub, "default", "n-1", text); err == nil {
			t.Errorf("%s: %s", what, out)
		}
	}
}
