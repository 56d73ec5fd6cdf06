package deploytest_test

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"loginhub/hub/hubtest"
)

// documents returns all Markdown files of the repository, by path from its top.
func documents(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && slices.Contains([]string{"node_modules", ".git", "testdata"}, d.Name()):
			return fs.SkipDir
		case filepath.Ext(path) != ".md":
			return nil
		}
		text, err := os.ReadFile(path)
		all[strings.TrimPrefix(path, "../../")] = string(text)
		return err
	})
	if err != nil || len(all) < 15 {
		t.Fatalf("%d documents: %v", len(all), err)
	}
	return all
}

// findInDocuments finds a pattern in all documents, in the Taskfile and in the CI workflow.
func findInDocuments(t *testing.T, pattern string) map[string][][]string {
	t.Helper()
	guides := documents(t)
	for _, name := range []string{"Taskfile.yml", ".github/workflows/ci.yml", ".github/workflows/release.yml", ".ci/run"} {
		text, err := os.ReadFile("../../" + name)
		if err != nil {
			t.Fatal(err)
		}
		guides[name] = string(text)
	}
	found := map[string][][]string{}
	for name, text := range guides {
		found[name] = regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1)
	}
	return found
}

// fence matches a code block: its language and its text.
var fence = regexp.MustCompile("(?ms)^ *```(\\w*)\n(.*?)^ *```")

// headings returns the anchors of a document as GitHub makes them.
func headings(text string) map[string]bool {
	anchors := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
		anchors[strings.Map(func(r rune) rune {
			switch {
			case r == ' ' || r == '-':
				return '-'
			case r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
				return unicode.ToLower(r)
			}
			return -1
		}, m[1])] = true
	}
	return anchors
}

// TestDocuments_Links checks relative links with their anchors, pictures, and the names of tests.
func TestDocuments_Links(t *testing.T) {
	t.Parallel()
	goTests := testNames(t)
	all, seen := documents(t), 0
	link, anchors := regexp.MustCompile(`\]\(([^)\s]+)\)|src="([^"]+)"`), map[string]map[string]bool{}
	for file, text := range all {
		anchors[file] = headings(text)
	}
	for file, text := range all {
		for _, name := range regexp.MustCompile("`((?:Test|Fuzz)\\w+)`").FindAllStringSubmatch(text, -1) {
			if !goTests[name[1]] {
				t.Errorf("%s: no test %s", file, name[1])
			}
		}
		for _, m := range link.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
			target := m[1] + m[2]
			if strings.Contains(target, "://") {
				continue
			}
			seen++
			path, anchor, _ := strings.Cut(target, "#")
			to := file
			if path != "" {
				to = filepath.Join(filepath.Dir(file), path)
			}
			if _, err := os.Stat(filepath.Join("../..", to)); err != nil {
				t.Errorf("%s: %v", file, err)
			} else if anchor != "" && filepath.Ext(to) == ".md" && !anchors[to][anchor] {
				t.Errorf("%s: %s has no heading for #%s", file, to, anchor)
			}
		}
	}
	if seen < 50 {
		t.Errorf("%d links found: the pattern is wrong", seen)
	}
}

// TestDocuments_Settings: each LOGINHUB_ name in the documents is a setting, with or without _FILE.
func TestDocuments_Settings(t *testing.T) {
	t.Parallel()
	known := settingNames(t)
	known["LOGINHUB_ID_TOKEN"], known["LOGINHUB_ACCESS_TOKEN"] = true, true // `loginhub login --exec` sets them
	for file, text := range documents(t) {
		for _, name := range regexp.MustCompile(`LOGINHUB_[A-Z_]*[A-Z]`).FindAllString(text, -1) {
			if !known[name] {
				t.Errorf("%s names %s, which is not a setting", file, name)
			}
		}
	}
}

// translations are the documents that exist in English and in Chinese.
var translations = map[string]string{
	"README.md":                       "deploy/zh-CN/README.md",
	"deploy/README.md":                "deploy/zh-CN/operations.md",
	"frontend/client/README.md":       "frontend/client/README.zh-CN.md",
	"frontend/miniprogram/README.md":  "frontend/miniprogram/README.zh-CN.md",
	"api/oidc/README.md":              "api/oidc/README.zh-CN.md",
	"wechat/README.md#connect-wechat": "wechat/README.md#接入微信",
}

// TestDocuments_Translations compares the code blocks of each pair, and the commands and settings
// in its sentences.
func TestDocuments_Translations(t *testing.T) {
	t.Parallel()
	all := documents(t)
	part := func(name string) string {
		file, anchor, half := strings.Cut(name, "#")
		if !half {
			return all[file]
		}
		for _, text := range strings.Split(all[file], "\n## ") {
			if headings("# " + text)[anchor] {
				return text
			}
		}
		return ""
	}
	inline := regexp.MustCompile("`([^`\n]+)`")
	commandsOf := func(text string) (lines []string) {
		for _, block := range fence.FindAllStringSubmatch(text, -1) {
			if block[1] != "mermaid" {
				lines = append(lines, block[0])
			}
		}
		var words []string
		for _, m := range inline.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
			if commandStart.MatchString(m[1]) || strings.Contains(m[1], "LOGINHUB_") {
				words = append(words, m[1])
			}
		}
		slices.Sort(words)
		return append(lines, slices.Compact(words)...)
	}
	for english, chinese := range translations {
		a, b := commandsOf(part(english)), commandsOf(part(chinese))
		if part(english) == "" || part(chinese) == "" {
			t.Errorf("%s or %s is missing", english, chinese)
		}
		for _, lines := range a {
			if !slices.Contains(b, lines) {
				t.Errorf("%s does not have this text of %s:\n%s", chinese, english, lines)
			}
		}
		for _, lines := range b {
			if !slices.Contains(a, lines) {
				t.Errorf("%s does not have this text of %s:\n%s", english, chinese, lines)
			}
		}
	}
}

// TestREADME_Length: a newcomer reads README.md in five minutes.
func TestREADME_Length(t *testing.T) {
	if n := len(strings.Fields(documents(t)["README.md"])); n > 1200 {
		t.Errorf("README.md has %d words; move details to the directory that they document", n)
	}
}

// commands maps the commands of the documents, in shell blocks and in sentences, to the test that
// runs each. A key that ends with a space is a prefix.
var commands = map[string]string{
	"go run ./cmd/loginhub": "hubtest.StartNode, in most tests",
	"go run ./cmd/loginhub --clients deploy/examples/clients.yaml":                                 "TestExamples_ReadmeCommands",
	"HUB=http://localhost:8080 CLIENT_ID=demo LISTEN=:3000 go -C deploy/examples/go run .":         "TestExamples_ReadmeCommands",
	"go run github.com/go-task/task/v3/cmd/task@v3.20.0 test test:oidc test:providers test:deploy": "CI",
	"go install github.com/go-task/task/v3/cmd/task@v3.20.0":                                       "not run",
	"sh deploy/drills/failover.sh":                                                                 "TestDrill_Scripts",
	"deploy/docker/secrets.sh":                                                                     "TestCompose_Login, without Docker",
	"deploy/docker/build.sh ":                                                                      "TestImage_EmptyRoot",
	"loginbench ":                                                                                  "cmd/loginbench: TestScenarios",
	"go run ./cmd/loginbench ":                                                                     "the same",
	"loginhub ":                                                                                    "TestProgram_RunsDocumentedCalls",
	"task ":                                                                                        "TestDocuments_TaskfileVerbs",
	"PASSWORD=$(openssl rand -hex 32) ADMIN=$(openssl rand -hex 32)":                               "TestShippedRedis_DocumentedInstall",
	"REPLICA=$(openssl rand -hex 32)":                                                              "TestShippedRedis_DocumentedInstall",
	"printf ":                                                                                      "TestShippedRedis_DocumentedInstall",
	"hash() ":                                                                                      "TestShippedRedis_DocumentedInstall",
	"sed ":                                                                                         "TestShippedRedis_DocumentedInstall, TestNginx_DocumentedTwoNodes",
	"echo ":                                                                                        "TestShippedRedis_DocumentedInstall",
	"sha256sum ":                                                                                   "TestRelease_Published",
	"ssh-keygen ":                                                                                  "TestRelease_Published",
	"apt-get ":                                                                                     "TestRelease_Published, with dpkg in an empty root",
	"go test ":                                                                                     "TestDocuments_TestCommands",
	"go mod edit ":                                                                                 "TestVerifier_DocumentedImport",
	"curl -X PUT ":                                                                                 "TestKillSwitch_DocumentedCall",
	// No test runs these. deploy/kubernetes/check and the tests of compose file and unit compare
	// the names in them with the files.
	"docker compose ":  "not run",
	"kubectl ":         "not run",
	"helm ":            "TestHelm_Installs, by Helm's own packages without a cluster",
	"systemctl ":       "not run",
	"journalctl ":      "not run",
	"install ":         "not run",
	"nginx -t":         "not run",
	"systemd-sysusers": "not run",
	"openssl ":         "not run",
	"tar ":             "not run",
}

// checkedDocuments are the documents whose commands must be in the table above. The commands of the
// runbook and of the risk assessment are an operator's, for Redis and systemd.
func checkedDocuments(t *testing.T) map[string]string {
	t.Helper()
	all := documents(t)
	for file := range all {
		if slices.Contains([]string{"deploy/RUNBOOK.md", "deploy/METRICS.md", "deploy/SECURITY.md"}, file) || strings.HasPrefix(file, "deploy/examples/") || strings.HasPrefix(file, "frontend/") {
			delete(all, file)
		}
	}
	return all
}

// commandStart matches a command in a sentence.
var commandStart = regexp.MustCompile(`^(?:[A-Z_]+=\S+ )*((?:go|task|loginhub|loginbench|curl|docker|kubectl|redis-cli|systemctl|nginx|npm|node|php|python3|sh|git|apt-get|deploy/\S+\.sh) .*)$`)

// shellLines returns the commands of a document's shell blocks, without comments.
func shellLines(text string) (lines []string) {
	for _, block := range fence.FindAllStringSubmatch(text, -1) {
		if block[1] != "sh" {
			continue
		}
		for line := range strings.Lines(strings.ReplaceAll(block[2], "\\\n", "")) {
			line, _, _ = strings.Cut(line, "  #")
			if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
				lines = append(lines, line)
			}
		}
	}
	return lines
}

// TestDocuments_Commands: a test runs each documented command, or the table lists it as not run.
func TestDocuments_Commands(t *testing.T) {
	t.Parallel()
	found, variables := map[string]bool{}, regexp.MustCompile(`^(?:[A-Z_]+=\S+ )*`)
	for file, text := range checkedDocuments(t) {
		lines := slices.DeleteFunc(shellLines(text), func(line string) bool { return strings.HasPrefix(line, "LOGINHUB_") })
		for _, m := range regexp.MustCompile("`([^`\n]+)`").FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
			if c := commandStart.FindStringSubmatch(m[1]); c != nil {
				lines = append(lines, c[1])
			}
		}
		for _, line := range lines {
			known, bare := "", variables.ReplaceAllString(line, "")
			for one := range commands {
				if line == one || strings.HasSuffix(one, " ") && strings.HasPrefix(bare, one) {
					known = one
				}
			}
			if found[known] = true; known == "" {
				t.Errorf("%s: no test runs %q; add it to the table", file, line)
			}
		}
	}
	tests := testNames(t)
	for line, by := range commands {
		if !found[line] {
			t.Errorf("no document has %q", line)
		}
		if name := regexp.MustCompile(`Test\w+`).FindString(by); name != "" && !tests[name] {
			t.Errorf("%q: no test %s", line, name)
		}
	}
	if run, err := os.ReadFile("../../.ci/run"); err != nil || !strings.Contains(string(run), "exec "+shellLines(documents(t)["README.md"])[1]+"\n") {
		t.Errorf(".ci/run does not run README.md's second command: %s %v", run, err)
	}
}

// TestProgram_RunsDocumentedCalls runs each `loginhub …` of the documents beside a node, with its
// settings. It sets --hold=0s, because the default takes a minute.
func TestProgram_RunsDocumentedCalls(t *testing.T) {
	t.Parallel()
	redis := hubtest.StartRedis(t)
	node := hubtest.StartNode(t, program, "REDIS_URL="+redis.URL)
	settings := []string{"LISTEN=" + strings.TrimPrefix(node.URL, "http://"), "PUBLIC_URL=" + node.URL, "REDIS_URL=" + redis.URL, "KEYS=" + hubtest.Key}
	seen := map[string]bool{}
	for _, text := range checkedDocuments(t) {
		for _, m := range regexp.MustCompile("`loginhub( [^`]*)`").FindAllStringSubmatch(text, -1) {
			seen[m[1]] = true
		}
	}
	if len(seen) < 6 {
		t.Errorf("%d calls found: the pattern is wrong", len(seen))
	}
	for call := range seen {
		args := strings.Fields(call)
		if args[0] == "keys" || args[0] == "audit" { // TestKeys_Revoke and TestLog_AuditChain run them
			continue
		}
		if args[0] == "init" {
			args = append(args, filepath.Join(t.TempDir(), "loginhub.yaml"))
		}
		if strings.Contains(call, "--hold") {
			args = append(args, "--hold=0s")
		}
		if out, code := hubtest.Run(t, program, args, settings...); code != 0 || out == "" && args[0] != "health" {
			t.Errorf("loginhub%s: exit code %d: %s", call, code, out)
		}
	}
}

// TestKillSwitch_DocumentedCall runs deploy/README.md's curl.
func TestKillSwitch_DocumentedCall(t *testing.T) {
	t.Parallel()
	lines := shellLines(documents(t)["deploy/README.md"])
	at := slices.IndexFunc(lines, func(line string) bool { return strings.HasPrefix(line, "curl -X PUT ") })
	if at < 0 {
		t.Fatalf("no call among %q", lines)
	}
	admin := "127.0.0.1:" + hubtest.FreePort(t)
	node := hubtest.StartNode(t, program, "ADMIN_LISTEN="+admin)
	line := strings.NewReplacer("127.0.0.1:9090", admin, "/ID/", "/default/").Replace(lines[at])
	if out, err := exec.Command("sh", "-c", line).CombinedOutput(); err != nil {
		t.Fatalf("%s: %s %v", line, out, err)
	}
	if a, err := hubtest.Request(loginContext(t), "POST", node.URL+"/api/login/tickets", map[string]string{}); err != nil || a.Status != 403 {
		t.Errorf("still on: %+v %v", a, err)
	}
}
