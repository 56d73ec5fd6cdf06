package deploytest_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// testFlags maps the flags of `go test` that choose functions to the prefix of those functions'
// names.
var testFlags = map[string]string{"-run": "Test|Fuzz|Example", "-bench": "Benchmark", "-fuzz": "Fuzz", "-list": "Test|Benchmark|Fuzz|Example"}

// TestDocuments_TestCommands checks the `go test` command lines of the documents. Each pattern must
// match a function in each package, and the tests must read each variable.
func TestDocuments_TestCommands(t *testing.T) {
	t.Parallel()
	seen := 0
	for guide, lines := range findInDocuments(t, `((?:[A-Z_]+=\S+ )*)go ((?:-C \S+ )?)test ([^\n`+"`"+`|)]*)`) {
		for _, m := range lines {
			args := strings.Fields(strings.NewReplacer("'", "", `"`, "").Replace(m[3]))
			var places []string
			patterns := map[string]string{}
			for i := 0; i < len(args); i++ {
				switch word := args[i]; {
				case testFlags[word] != "" && i+1 < len(args):
					i++
					patterns[word] = args[i]
				case slices.Contains([]string{"-timeout", "-count", "-fuzztime"}, word):
					i++
				case word == "#":
					i = len(args)
				case word == "." || strings.HasPrefix(word, "./"):
					places = append(places, word)
				case word == "$pkg": // the loop in task fuzz
					places = append(places, "./...")
				}
			}
			if m[2] != "" && len(patterns) == 0 || len(places) == 0 {
				if len(patterns) > 0 {
					t.Errorf("%s: %s: no such package", guide, m[0])
				}
				continue
			}
			seen++
			folders := testFolders(t, filepath.Clean(strings.TrimSpace(strings.TrimPrefix(m[2], "-C "))), places...)
			for flag, pattern := range patterns {
				top, _, _ := strings.Cut(pattern, "/")
				if pattern == "^$" || strings.Contains(pattern, "$target") || strings.Contains(pattern, "{{") { // TestVerbs_EachTestOnce reads the Taskfile's variables
					continue
				}
				kind, wanted := regexp.MustCompile("^(?:"+testFlags[flag]+")"), regexp.MustCompile(top)
				if !slices.ContainsFunc(folders, func(f *testFolder) bool {
					return slices.ContainsFunc(f.functions, func(name string) bool { return kind.MatchString(name) && wanted.MatchString(name) })
				}) {
					t.Errorf("%s: %s: %s matches no test", guide, m[0], pattern)
				}
			}
			for _, setting := range strings.Fields(m[1]) {
				name, _, _ := strings.Cut(setting, "=")
				if !slices.ContainsFunc(folders, func(f *testFolder) bool { return strings.Contains(f.text, `"`+name+`"`) }) {
					t.Errorf("%s: %s: no test there reads %s", guide, m[0], name)
				}
			}
		}
	}
	if seen < 7 {
		t.Errorf("only %d command lines found: the pattern is wrong", seen)
	}
}

// TestDocuments_TaskfileVerbs checks each `task VERB` of the documents, with its variables, and the
// Taskfile's own dependencies.
func TestDocuments_TaskfileVerbs(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../Taskfile.yml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Tasks map[string]yaml.Node }
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	body := map[string]string{}
	for name, node := range file.Tasks {
		one, err := yaml.Marshal(&node)
		if err != nil {
			t.Fatal(err)
		}
		body[name] = string(one)
	}
	seen := 0
	for guide, calls := range findInDocuments(t, "(?:(?:`|\\$\\{?)(?i:task)\\}?|cmd/task@\\S+|- task:) ([a-z0-9:-]+)((?: [A-Z_]+=\\S+)*)") {
		for _, m := range calls {
			seen++
			name, internal := m[1], strings.Contains(body[m[1]], "internal: true")
			if body[name] == "" || internal && guide != "Taskfile.yml" {
				t.Errorf("%s: the Taskfile has no verb %s", guide, m[0])
			}
			for _, setting := range strings.Fields(m[2]) {
				variable, _, _ := strings.Cut(setting, "=")
				if !strings.Contains(body[name], "{{."+variable) {
					t.Errorf("%s: %s does not use the variable %s", guide, name, variable)
				}
			}
		}
	}
	for name, text := range body {
		for _, deps := range regexp.MustCompile(`(?m)^deps: \[(.*)\]$`).FindAllStringSubmatch(text, -1) {
			for _, dep := range strings.Split(deps[1], ", ") {
				if body[dep] == "" {
					t.Errorf("%s needs %s, which does not exist", name, dep)
				}
			}
		}
	}
	if seen < 12 {
		t.Errorf("only %d verbs found: the pattern is wrong", seen)
	}
}

// TestVerifier_DocumentedImport builds another module that imports the verifier in both documented
// ways.
func TestVerifier_DocumentedImport(t *testing.T) {
	t.Parallel()
	edit := findInDocuments(t, "`(go mod edit [^`]*)`")["README.md"]
	top, err := filepath.Abs("../..")
	if err != nil || len(edit) != 1 {
		t.Fatal(edit, err)
	}
	code, err := os.ReadFile(snippet(t, "verify.go"))
	if err != nil {
		t.Fatal(err)
	}
	for name, one := range map[string]struct{ imported, steps string }{
		"beside": {"loginhub/api/token/verify", "ln -s " + top + " ../loginhub && " + edit[0][1]},
		"copied": {"example.com/site/verify", "cp -r " + top + "/api/token/verify . && rm verify/*_test.go verify/go.mod"},
	} {
		t.Run(name, func(t *testing.T) {
			site := filepath.Join(t.TempDir(), "site")
			if err := os.Mkdir(site, 0o755); err != nil {
				t.Fatal(err)
			}
			text := strings.Replace(string(code), "loginhub/api/token/verify", one.imported, 1)
			if err := os.WriteFile(filepath.Join(site, "main.go"), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			run := exec.Command("sh", "-ec", "go mod init example.com/site; "+one.steps+"; go build -o site .")
			run.Dir = site
			if out, err := run.CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
}
