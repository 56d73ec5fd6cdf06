package main_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"loginhub/hub/hubtest"
)

// snippet writes the README's code block that follows <!-- name --> to a file of
// that name.
func snippet(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "<!-- "+name+" -->\n```")
	if !found {
		t.Fatalf("no block %s in the README", name)
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

// tokenFor logs the user in and gives the token that the page gets.
func tokenFor(ctx context.Context, t *testing.T, url, user, nonce string) string {
	t.Helper()
	ticket, err := hubtest.Make(ctx, url, map[string]string{"nonce": nonce})
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

func TestTheREADMEsSnippetsVerifyATokenAndRefuseAWrongOne(t *testing.T) {
	t.Parallel()
	hub := sandboxHub(t)
	ctx := one(t)
	token := tokenFor(ctx, t, hub, "alice", "n-1")
	head, rest, _ := strings.Cut(token, ".")
	body, signature, _ := strings.Cut(rest, ".")
	other, _, _ := strings.Cut(strings.SplitN(tokenFor(ctx, t, hub, "mallory", "n-1"), ".", 2)[1], ".")
	for _, run := range [][]string{
		{"go", "run", snippet(t, "verify.go")},
	} {
		call := func(args ...string) (string, error) {
			out, err := exec.Command(run[0], append(append([]string(nil), run[1:]...), args...)...).CombinedOutput()
			return strings.TrimSpace(string(out)), err
		}
		if out, err := call(hub, "default", "n-1", token); err != nil || out != "sandbox:alice" {
			t.Errorf("%v: %s %v", run, out, err)
		}
		for what, args := range map[string][]string{
			"another session's nonce": {hub, "default", "n-2", token},
			"another site":            {hub, "other", "n-1", token},
			"another user's claims":   {hub, "default", "n-1", head + "." + other + "." + signature},
			"a cut signature":         {hub, "default", "n-1", head + "." + body + "." + signature[:20]},
		} {
			if out, err := call(args...); err == nil {
				t.Errorf("%v takes %s: %s", run, what, out)
			}
		}
	}
}

// commands are the README's, in shell blocks and within sentences, and what runs
// each. One that ends with a space stands for all that begin so.
var commands = map[string]string{
	"go run ./cmd/loginhub":                                   "hubtest.StartNode, in every story",
	"go run github.com/go-task/task/v3/cmd/task@v3.50.0 test": "CI: you are in it",
	"deploy/docker/secrets.sh":                                "TestTheComposeFilesDeploymentLogsIn, without Docker",
	"loginbench ":                                             "cmd/loginbench: TestDocuments_CommandsRun",
	"go run ./cmd/loginbench SCENARIO":                        "the same",
	"loginhub ":                                               "TestTheREADMEsCallsOfTheProgramWork",
	"task ":                                                   "TestEveryDocumentedVerbIsInTheTaskfile",
	"go test ":                                                "TestEveryDocumentedTestRunFindsWhatItNames",
	"go mod edit ":                                            "TestTheVerifierIsImportedAsTheREADMESays",
	"curl -X PUT ":                                            "TestTheREADMEsSwitchTurnsALoginOff",
	// Of these no test runs a line. What they name, deploy/kubernetes/check and the
	// tests of the compose file hold to the files.
	"docker compose ": "not run",
	"kubectl ":        "not run",
}

// programs begin a command in a sentence.
var programs = regexp.MustCompile(`^(?:[A-Z_]+=\S+ )*((?:go|task|loginhub|loginbench|curl|docker|kubectl|redis-cli|systemctl|nginx|npm|node|php|python3|sh|git|apt-get|deploy/\S+\.sh) .*)$`)

// runs says what runs a command; "" where nothing is known to.
func runs(command string) (known, by string) {
	for known, by := range commands {
		if command == known || strings.HasSuffix(known, " ") && strings.HasPrefix(command, known) {
			return known, by
		}
	}
	return "", ""
}

func TestTheREADMEsCommandsAreKnownAndItsSettingsExist(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	help, err := exec.Command(program, "--help").Output()
	if err != nil {
		t.Fatal(err)
	}
	found, said := map[string]bool{}, []string(nil)
	for _, block := range regexp.MustCompile("(?ms)^ *```sh\n(.*?)^ *```").FindAllStringSubmatch(string(text), -1) {
		for _, line := range strings.Split(strings.TrimSpace(block[1]), "\n") {
			line, _, _ = strings.Cut(line, "  #")
			line = strings.TrimSpace(line)
			if name, _, setting := strings.Cut(line, "="); setting && strings.HasPrefix(line, "LOGINHUB_") {
				if !strings.Contains(string(help), "$"+strings.TrimSuffix(name, "_FILE")) {
					t.Errorf("there is no setting %s", name)
				}
				continue
			}
			said = append(said, line)
		}
	}
	for _, m := range regexp.MustCompile("`([^`\n]+)`").FindAllStringSubmatch(string(text), -1) {
		if c := programs.FindStringSubmatch(m[1]); c != nil {
			said = append(said, c[1])
		}
	}
	for _, line := range said {
		known, by := runs(line)
		if found[known] = true; by == "" {
			t.Errorf("what runs %q?", line)
		}
	}
	tests, _ := proofs(t, "../..")
	for line, by := range commands {
		if !found[line] {
			t.Errorf("the README no longer says %q", line)
		}
		if name := regexp.MustCompile(`Test\w+`).FindString(by); name != "" && !tests[name] {
			t.Errorf("%q is run by %s, which there is not", line, name)
		}
	}
}

// TestTheREADMEsSwitchTurnsALoginOff runs its call as it stands there.
func TestTheREADMEsSwitchTurnsALoginOff(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	call := regexp.MustCompile("`(curl -X PUT [^`]*)`").FindStringSubmatch(string(text))
	if call == nil {
		t.Fatal("no call in the README")
	}
	admin := "127.0.0.1:" + hubtest.FreePort(t)
	node := hubtest.StartNode(t, program, "ADMIN_LISTEN="+admin)
	line := strings.NewReplacer("127.0.0.1:9090", admin, "/ID/", "/default/").Replace(call[1])
	if out, err := exec.Command("sh", "-c", line).CombinedOutput(); err != nil {
		t.Fatalf("%s: %s %v", line, out, err)
	}
	if a, err := hubtest.Request(one(t), "POST", node.URL+"/api/login/tickets", map[string]string{}); err != nil || a.Status != 403 {
		t.Errorf("still on: %+v %v", a, err)
	}
}

// TestTheREADMEAndTheHelpNameTheSameSettings, and give them the same defaults.
func TestTheREADMEAndTheHelpNameTheSameSettings(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	help, _ := hubtest.Run(t, program, []string{"--help"})
	named, known := map[string]bool{}, settingsOf(t)
	for _, name := range regexp.MustCompile(`LOGINHUB_[A-Z_]*[A-Z]`).FindAllString(string(text), -1) {
		if named[name] = true; !known[name] {
			t.Errorf("the README names %s, which is no setting", name)
		}
	}
	for name := range known {
		if !named[name] {
			t.Errorf("the README does not name %s", name)
		}
	}
	rows := regexp.MustCompile("(?m)^\\| `LOGINHUB_([A-Z_]+)` \\| `([^`]+)` \\|").FindAllStringSubmatch(string(text), -1)
	if len(rows) < 7 {
		t.Errorf("%d defaults: is this test blind?", len(rows))
	}
	for _, m := range rows {
		flag := "--" + strings.ToLower(strings.ReplaceAll(m[1], "_", "-")) + "="
		value := regexp.MustCompile(`(?m)(?:^|\s)` + regexp.QuoteMeta(flag) + `"?` + regexp.QuoteMeta(m[2]) + `"?(?:\s|$)`)
		if !value.MatchString(help) {
			t.Errorf("%s is not %s in --help", m[1], m[2])
		}
	}
}
